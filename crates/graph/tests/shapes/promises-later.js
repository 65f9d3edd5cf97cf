import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const a = step.do("task a", async () => "a");
    const b = step.do("task b", async () => "b");
    const c = await step.waitForEvent("task c", { type: "my-event", timeout: "1 hour" });
    await step.do("task d", async () => JSON.stringify(c));
    await Promise.all([a, b]);
    await step.sleep("final sleep", 1000);
    const single = step.do("alone", async () => 1);
    await single;
  }
}
