export { Flow } from "./flows/index.js";
export default { fetch: () => new Response("x") };
// module: flows/index.js
export * from "./order.js";
export * from "./other.js";
// module: flows/other.js
export const other = 1;
// module: flows/order.js
import { WorkflowEntrypoint } from "cloudflare:workers";
import { charge } from "../lib/charge.js";
import * as mail from "../lib/mail.js";
import report from "../lib/report.js";

class OrderFlow extends WorkflowEntrypoint {
  async run(event, step) {
    await charge(step, event.payload.cents);
    await mail.send(step, "owner");
    await report(step);
    const late = await import("../lib/late.js");
    await late.finish(step);
  }
}
export { OrderFlow as Flow };
// module: lib/charge.js
import { TIMEOUT } from "./constants.js";
export async function charge(step, cents) {
  await step.do("charge", { timeout: TIMEOUT }, async () => cents);
}
// module: lib/constants.js
export const TIMEOUT = "9 minutes";
// module: lib/mail.js
export const send = async (step, to) => {
  await step.do(`mail ${to}`, async () => to);
};
// module: lib/report.js
export default async function report(step) {
  await step.do("report", async () => 1);
}
// module: lib/late.js
export async function finish(step) {
  await step.do("finish", async () => 1);
}
