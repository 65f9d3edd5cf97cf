import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(...args) {
    const [, step] = args;
    await step.do("from the rest", async () => 1);
    await this.more(...args);
  }

  async more(event, step) {
    await step.do("spread", async () => event);
  }
}
