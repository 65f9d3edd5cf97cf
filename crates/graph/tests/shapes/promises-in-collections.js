import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const running = new Set();
    for (const item of event.payload.items) {
      const promise = step.do(`item ${item}`, async () => item);
      running.add(promise);
      if (running.size > 3) await Promise.race(running);
    }
    await Promise.all([...running]);
    const byName = {};
    byName.one = step.do("one", async () => 1);
    byName.two = step.do("two", async () => 2);
    await Promise.all(Object.values(byName));
    for (const promise of event.payload.items.map((item) => step.do(`each ${item}`, async () => item))) await promise;
  }
}
