import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";

const DAY = 24 * 60 * 60 * 1000;

/** A report of the day before the time on the schedule: however late it is made, it is of the same day. */
export class Report extends WorkflowEntrypoint {
  async run(event: WorkflowEvent<unknown>, step: WorkflowStep) {
    const until = event.schedule?.scheduledTime ?? event.timestamp.getTime();
    const period = { from: new Date(until - DAY).toISOString(), until: new Date(until).toISOString() };
    const orders = await step.do("count the orders", async () => countOrders(period));
    return { ...period, orders, schedule: event.schedule?.cron ?? "none, started by hand" };
  }
}

/** Stands for a question to your database. */
function countOrders(period: { from: string; until: string }) {
  return new Date(period.until).getUTCDate();
}

export default {
  fetch: () => new Response("Reports are made on schedule.\n"),
};
