import { WorkflowEntrypoint } from "cloudflare:workers";
import pMap from "p-map";

async function withRetries(times, work) {
  for (let i = 0; i < times; i++) {
    try {
      return await work(i);
    } catch (error) {
      console.log(error);
    }
  }
}

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    await withRetries(3, () => step.do("first", async () => 1));
    await withRetries(2, async () => {
      await step.do("second", async () => 2);
      await step.do("third", async () => 3);
    });
    await pMap(event.payload.items, (item) => step.do(`item ${item}`, async () => item), { concurrency: 2 });
    const process = async (item) => {
      await step.do(`process ${item}`, async () => item);
    };
    await Promise.all(event.payload.items.map(process));
    for (const item of event.payload.items) await process(item);
    const jobs = [() => step.do("job 1", async () => 1), () => step.do("job 2", async () => 2)];
    for (const job of jobs) await job();
    await step.do("reference", callback);
  }
}

async function callback() {
  return 1;
}
