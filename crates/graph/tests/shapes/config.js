import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const quick = { retries: { limit: 3, delay: "1 second", backoff: "constant" }, timeout: "10 seconds" };
    await step.do("all of it", { retries: { limit: 10, delay: 5_000, backoff: "linear" }, timeout: 60 * 1000 }, async () => 1);
    await step.do("by name", quick, async () => 2);
    await step.do("spread", { ...quick, timeout: "1 hour" }, async () => 3);
    await step.do("a part", { retries: { limit: 0 } }, async () => 4);
    await step.do("a delay that is computed", { retries: { limit: 2, delay: ({ attempt }) => attempt * 1000 } }, async () => 5);
    await step.do("known in a run", { retries: { limit: event.payload.limit, delay: event.payload.delay }, timeout: `${event.payload.minutes} minutes` }, async () => 6);
    await step.do("with rollback", async () => 7, { rollback: async () => undo() });
    await step.do("config and rollback", quick, async () => 8, { rollback: async () => undo() });
  }
}
