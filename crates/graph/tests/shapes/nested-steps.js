import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    await step.do("outer", async () => {
      const part = await step.do("inner", async () => 1);
      if (part) await step.sleep("a little", "1 second");
      return part;
    });
    await step.do("nothing inside", async () => {
      for (const x of event.payload.items) if (x) return x;
    });
  }
}
