import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const early = step.do("early", async () => 1);
    const [a, b] = await Promise.all([step.do("a", async () => 2), step.do("b", async () => 3)]);
    await Promise.all([early, step.do("c", async () => a + b)]);
    const maybe = event.payload.fast ? step.do("fast", async () => 4) : null;
    await step.do("meanwhile", async () => 5);
    await maybe;
  }
}
