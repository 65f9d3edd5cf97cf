import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const { items } = event.payload;
    const squares = await Promise.all(items.map((item) => step.do(`square ${item}`, async () => item * item)));
    await Promise.all(
      Array.from({ length: 10 }, async (_, part) => {
        const page = await step.do(`page ${part}`, async () => part);
        await step.do(`index ${part}`, async () => page);
      }),
    );
    await Promise.all(items.flatMap((item) => [step.do("one", async () => item), step.do("two", async () => item)]));
    return squares;
  }
}
