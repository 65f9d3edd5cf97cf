import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const helpers = {
      async charge(cents) {
        await step.do("charge", async () => cents);
      },
      ship: function (cents) {
        return step.do("ship", async () => cents);
      },
    };
    await helpers.charge(1);
    const { ship } = helpers;
    await ship(2);
    await helpers.charge.call(null, 3);
    await ship.apply(helpers, [4]);
    const bound = this.note.bind(this, step);
    await this.note.call(this, step, "called");
  }

  async note(step, text) {
    await step.do(`note ${text}`, async () => text);
  }
}
