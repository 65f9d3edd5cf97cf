// What the SDKs' tests work with: one class whose payload says what the instance does.
import { WorkflowEntrypoint } from "cloudflare:workers";

const LARGE = "abc".repeat(2_000);

export class Orders extends WorkflowEntrypoint {
  async run(event, step) {
    const { mode = "greet", name = "nobody" } = event.payload ?? {};
    if (mode === "fail") {
      return step.do("charge", { retries: { limit: 1, delay: 1, backoff: "constant" } }, async () => {
        throw new TypeError("the card was declined");
      });
    }
    if (mode === "outputs") {
      await step.do("large", async () => LARGE);
      await step.do("hidden", { sensitive: "output" }, async () => "1234");
      await step.do("stream", async () => new Blob(["first line\n", "second line\n"]).stream());
      return "made";
    }
    if (mode === "nap") {
      await step.sleep("nap", "1 hour");
      return "slept";
    }
    const greeting = await step.do("greet", async () => `Hello, ${name}`);
    if (mode === "ask") {
      await step.do("reserve", async () => ({ seats: 2 }), { rollback: async () => {} });
      const answer = await step.waitForEvent("answer", { type: "decision", timeout: "1 day" });
      return { greeting, answer: answer.payload };
    }
    return { greeting };
  }
}

export class Nightly extends WorkflowEntrypoint {
  async run(event, step) {
    return step.do("report", async () => event.schedule?.cron ?? "by hand");
  }
}

export default {
  fetch: () => new Response("orders"),
};
