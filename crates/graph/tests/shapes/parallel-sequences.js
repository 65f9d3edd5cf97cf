import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    await Promise.all([
      (async () => {
        await step.do("left 1", async () => 1);
        await step.do("left 2", async () => 2);
      })(),
      step.do("right", async () => 3),
      step.do("first", async () => 4).then(() => step.do("second", async () => 5)),
    ]);
  }
}
