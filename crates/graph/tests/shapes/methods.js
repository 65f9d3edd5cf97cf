import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  prepare = async (step) => {
    await step.do("prepare", async () => this.env);
  };

  async run(event, step) {
    this.step = step;
    await this.prepare(step);
    await this.#secret(step);
    await this.send(event.payload.to);
    await Flow.report(step);
    this.trace("nothing here");
  }

  async #secret(step) {
    await step.do("secret", async () => 1);
  }

  async send(to) {
    await this.step.do(`send to ${to}`, async () => to);
  }

  static async report(step) {
    await step.do("report", async () => 2);
  }

  trace(text) {
    console.log(text);
  }
}
