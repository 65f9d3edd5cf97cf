import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    step.do("audit", async () => 1);
    await step.do("work", async () => 2);
    await step.do("more work", async () => 3);
  }
}
