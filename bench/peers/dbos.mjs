// DBOS on PostgreSQL: node dbos.mjs PORT DATABASE_URL
//
// startWorkflow() answers once the row of the workflow is written; its handle's getResult() waits in this process, without polling.

import { DBOS } from "@dbos-inc/dbos-sdk";
import { open } from "./door.mjs";

const [port, database] = process.argv.slice(2);

async function steps(count) {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += await DBOS.runStep(async () => i, { name: `step ${i}` });
  return sum;
}

const workflow = DBOS.registerWorkflow(steps, { name: "steps" });
DBOS.setConfig({
  name: "bench",
  systemDatabaseUrl: database,
  systemDatabasePoolSize: 20,
  runAdminServer: false,
  logLevel: "error",
});
await DBOS.launch();

open(Number(port), {
  start: async (count) => ({ id: (await DBOS.startWorkflow(workflow)(count)).workflowID }),
  run: async (count) => ({ sum: await (await DBOS.startWorkflow(workflow)(count)).getResult() }),
});
