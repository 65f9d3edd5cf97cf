import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    for (const item of event.payload.items) {
      await step.do(`item ${item}`, async () => item);
    }
    for (let i = 0; i < 3; i++) await step.do(`round ${i}`, async () => i);
    for (const key in event.payload) await step.do("key " + key, async () => key);
    while (true) {
      const state = await step.do("poll", async () => fetchState());
      if (state.done) break;
      if (state.failed) return "failed";
      await step.sleep("before polling again", "1 minute");
    }
    do {
      await step.do("at least once", async () => 1);
    } while (await step.do("once more?", async () => false));
    outer: for (const a of event.payload.as) {
      for (const b of a) {
        await step.do("inner", async () => b);
        if (b) break outer;
      }
    }
    for (const x of event.payload.items) console.log(x);
  }
}
