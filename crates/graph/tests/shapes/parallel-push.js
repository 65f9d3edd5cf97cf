import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const tasks = [];
    for (const item of event.payload.items) {
      tasks.push(step.do(`item ${item}`, async () => item));
    }
    const results = await Promise.all(tasks);
    const more = [];
    event.payload.items.forEach((item) => {
      more.push(step.do(`more ${item}`, async () => item));
    });
    await Promise.allSettled(more);
    return step.do("sum", async () => results.length);
  }
}
