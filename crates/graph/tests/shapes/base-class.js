import { WorkflowEntrypoint } from "cloudflare:workers";

class Base extends WorkflowEntrypoint {
  async run(event, step) {
    await step.do("before", async () => 1);
    await this.work(event, step);
    await step.do("after", async () => 2);
  }

  async work(event, step) {
    await step.do("nothing yet", async () => 3);
  }
}

class Middle extends Base {
  async work(event, step) {
    await super.work(event, step);
    await step.do("the middle", async () => 4);
  }
}

export class Flow extends Middle {
  async work(event, step) {
    await super.work(event, step);
    await step.sleep("a while", "1 hour");
  }
}
