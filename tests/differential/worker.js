// The Worker that every engine runs. `/run/<case>` runs one case through the genuine workflow binding and answers with all that could be seen
// of it. A case in which the engine is killed has two halves, `/before/<case>` and `/after/<case>`.

import { WorkflowEntrypoint } from 'cloudflare:workers';
import { all } from './cases/index.js';
import { Bench } from './bench.js';
import { kit } from './kit.js';
import { error } from './render.js';

// An id is `<case>_<label>_<number>`; an instance without an id of its own names its case in its parameters.
export class Cases extends WorkflowEntrypoint {
  run(event, step) {
    const [name, label] = event.payload?.case?.split('_') ?? event.instanceId.split('_');
    const one = all[name];
    if (one === undefined) throw new Error('its id names no case');
    const { run, runs } = one;
    return (runs?.[label] ?? run).call(this, event, step, kit(event.instanceId));
  }
}

// At most three steps, says the configuration.
export class Few extends Cases {}

// Nothing to run.
export class Empty extends WorkflowEntrypoint {}

// Nothing to run on.
export class Broken extends WorkflowEntrypoint {
  constructor(ctx, env) {
    super(ctx, env);
    throw new Error('cannot be made');
  }
}

// What the runner must know of each case: whether the engine is killed within it, and whether it depends on the compatibility date.
const list = () =>
  Object.entries(all).map(([name, { subject, after, dated }]) => ({
    name,
    subject,
    crashes: after !== undefined,
    dated: dated === true,
  }));

export default {
  async fetch(request, env, ctx) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === '/') return Response.json({ differential: true });
    if (pathname === '/cases') return Response.json(list());
    const [, verb, name] = pathname.split('/');
    const bench = new Bench(name, all[name], searchParams.get('nonce'), env, ctx);
    try {
      return Response.json(await bench[verb](all[name]));
    } catch (thrown) {
      return Response.json({ broken: await error(thrown), ...(await bench.result()) });
    }
  },
};
