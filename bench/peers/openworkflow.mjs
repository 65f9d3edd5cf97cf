// OpenWorkflow on SQLite, client and worker in one process: node openworkflow.mjs PORT DATABASE_FILE
//
// Its own result() asks the database once a second. Here the end is told by the workflow function itself as it returns, which is earlier than
// anything a client could see: the rows that say so are yet to be written.

import { OpenWorkflow } from "openworkflow";
import { BackendSqlite } from "openworkflow/sqlite";
import { open } from "./door.mjs";

const [port, file] = process.argv.slice(2);
const openWorkflow = new OpenWorkflow({ backend: BackendSqlite.connect(file) });
const waiting = new Map();
let runs = 0;

const workflow = openWorkflow.defineWorkflow({ name: "steps" }, async ({ input, step }) => {
  let sum = 0;
  for (let i = 0; i < input.count; i++) sum += await step.run({ name: `step ${i}` }, async () => i);
  waiting.get(input.run)?.(sum);
  waiting.delete(input.run);
  return sum;
});

const worker = openWorkflow.newWorker({ concurrency: 100 });
await worker.start();

open(Number(port), {
  start: async (count) => ({ id: (await workflow.run({ run: runs++, count })).workflowRun.id }),
  run: async (count) => {
    const run = runs++;
    const ended = new Promise((resolve) => waiting.set(run, resolve));
    await workflow.run({ run, count });
    return { sum: await ended };
  },
});
