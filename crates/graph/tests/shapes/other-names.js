import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run({ payload }, s) {
    const durable = s;
    const { steps } = { steps: durable };
    await steps.do("by another name", async () => payload);
    await s?.do("optional", async () => 1);
    await s["do"]("in brackets", async () => 2);
    const nap = s.sleep.bind(s);
    await nap("bound", "1 second");
    const step = { do: async () => {} };
    await step.do("not a step", async () => 3);
  }
}
