// What the Worker has done, told to cairn for whoever follows it (`wrangler tail`). workerd calls this when a handler of the user's Worker is done.

import { WorkerEntrypoint } from 'cloudflare:workers';

// After cairn has said that nobody follows, so long nothing is told, milliseconds. Whoever begins to follow is made to wait for it
// (server/src/tails.rs).
const QUIET = 1_000;
let quietUntil = 0;

// The connection to cairn is no doing of the user's.
const isUsers = (item) => item.entrypoint !== '__CairnHost';

// The firing of a schedule reaches the Worker as a request of cairn's own (workerd/scheduled.rs).
function told(item) {
  if (item.entrypoint !== '__CairnScheduled') return JSON.stringify(item);
  const { entrypoint, ...rest } = JSON.parse(JSON.stringify(item));
  const { 'cairn-cron': cron, 'cairn-time': time } = item.event.request.headers;
  // The failure of a handler is an answer to cairn.
  const outcome = rest.exceptions.length > 0 ? 'exception' : rest.outcome;
  return JSON.stringify({ ...rest, outcome, event: { cron, scheduledTime: Number(time) } });
}

export class Tail extends WorkerEntrypoint {
  async tail(items) {
    if (Date.now() < quietUntil) return;
    const all = items.filter(isUsers).map(told);
    if (all.length === 0) return;
    const response = await this.env.cairn.fetch('http://cairn/trace', { method: 'POST', body: `[${all.join()}]` });
    const { followed } = await response.json();
    quietUntil = followed ? 0 : Date.now() + QUIET;
  }
}
