import { WorkflowEntrypoint } from "cloudflare:workers";

class Mailer {
  constructor(step, from) {
    this.step = step;
    this.from = from;
  }

  async send(to) {
    await this.step.do(`mail to ${to}`, async () => this.from);
    await this.log();
  }

  log() {
    return this.step.do("log", async () => 1);
  }
}

function createTools(step) {
  return {
    count: () => step.do("count", async () => 1),
    async twice() {
      await step.do("once", async () => 1);
      await step.do("twice", async () => 2);
    },
  };
}

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const mailer = new Mailer(step, "me");
    const tools = createTools(step);
    await mailer.send(event.payload.to);
    await tools.count();
    await tools.twice();
  }
}
