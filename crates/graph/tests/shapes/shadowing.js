import { WorkflowEntrypoint } from "cloudflare:workers";

async function help(step) {
  await step.do("the real help", async () => 1);
}

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    await help(step);
    await event.payload.items.forEach((step) => {
      step.do("of an item, not a step");
    });
    {
      const help = async () => {};
      await help(step);
    }
    try {
      await step.do("last", async () => 2);
    } catch (step) {
      step.do("of an error, not a step");
    }
  }
}
