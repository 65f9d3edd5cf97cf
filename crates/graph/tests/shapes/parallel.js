import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    await Promise.all([step.do("a", async () => 1), step.do("b", async () => 2)]);
    await Promise.allSettled([step.do("c", async () => 3), step.sleep("d", "1 minute")]);
    await Promise.race([step.waitForEvent("paid", { type: "paid", timeout: "1 day" }), step.sleep("long enough", "1 hour")]);
    const first = await Promise.any([step.do("e", async () => 5), step.do("f", async () => 6)]);
    return first;
  }
}
