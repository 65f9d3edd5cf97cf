// What the Worker has done, told to cairn for whoever follows it (`wrangler tail`). workerd calls this when a handler of the user's Worker is done.

import { WorkerEntrypoint } from 'cloudflare:workers';

// After cairn has said that nobody follows, so long nothing is told, milliseconds. Whoever begins to follow is made to wait for it
// (server/src/tails.rs).
const QUIET = 1_000;
let quietUntil = 0;

// The connection to cairn is no doing of the user's.
const isUsers = (item) => item.entrypoint !== '__CairnHost';

export class Tail extends WorkerEntrypoint {
  async tail(items) {
    if (Date.now() < quietUntil) return;
    const told = items.filter(isUsers).map((item) => JSON.stringify(item));
    if (told.length === 0) return;
    const response = await this.env.cairn.fetch('http://cairn/trace', { method: 'POST', body: `[${told.join()}]` });
    const { followed } = await response.json();
    quietUntil = followed ? 0 : Date.now() + QUIET;
  }
}
