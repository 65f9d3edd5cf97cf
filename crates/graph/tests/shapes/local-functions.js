import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const notify = async (text) => {
      await step.do(`notify: ${text}`, async () => text);
    };
    async function charge(cents) {
      await step.do("charge", { timeout: "1 minute" }, async () => cents);
      await notify("charged");
    }
    const format = (text) => text.trim();
    await notify(format("started"));
    await charge(100);
    await notify("done");
  }
}
