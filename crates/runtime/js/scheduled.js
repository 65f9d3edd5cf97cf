// A schedule of the Worker fires: cairn calls this, and this calls the user's `scheduled` handler, in either of its two forms.

import { WorkerEntrypoint } from 'cloudflare:workers';
import { describe } from './errors.js';
import { defineProperty, parse, ResponseRef, stringify } from './primordials.js';

const answer = (outcome) => new ResponseRef(stringify(outcome));

// The handler, bound to its Worker; undefined where there is none.
function handlerOf(Default, ctx, env) {
  if (typeof Default === 'function') {
    if (typeof Default.prototype?.scheduled !== 'function') return undefined;
    return (controller) => new Default(ctx, env).scheduled(controller);
  }
  if (typeof Default?.scheduled !== 'function') return undefined;
  return (controller) => Default.scheduled(controller, env, ctx);
}

// What the handler hands to `ctx.waitUntil` is part of its work.
function gatherWaits(ctx) {
  const waits = [];
  const value = (promise) => {
    waits[waits.length] = promise;
  };
  defineProperty(ctx, 'waitUntil', { __proto__: null, value, configurable: true, writable: true });
  return waits;
}

async function fire(handler, controller, waits) {
  let failure;
  const note = (error) => {
    failure ??= { error };
  };
  try {
    await handler(controller);
  } catch (error) {
    note(error);
  }
  // Waits may bring more waits.
  for (let i = 0; i < waits.length; i++) {
    try {
      await waits[i];
    } catch (error) {
      note(error);
    }
  }
  return failure;
}

export const scheduled = (user) =>
  class extends WorkerEntrypoint {
    async fetch(request) {
      // Not for user code, which finds all else that the main module exports there.
      if (this.ctx.exports !== undefined) {
        delete this.ctx.exports.__CairnHost;
        delete this.ctx.exports.__CairnScheduled;
      }
      const { cron, scheduledTime } = parse(await request.text());
      const { ctx } = this;
      const waitUntil = ctx.waitUntil.bind(ctx);
      const waits = gatherWaits(ctx);
      let handler;
      try {
        handler = handlerOf(user.default, ctx, this.env);
      } catch (error) {
        return answer({ failure: describe(error) });
      }
      if (handler === undefined) return answer({ missing: true });
      const controller = { __proto__: null, cron, scheduledTime, type: 'scheduled', noRetry() {} };
      const failure = await fire(handler, controller, waits);
      if (failure === undefined) return answer({});
      // Whoever follows the Worker sees the failure as that of this event.
      waitUntil(Promise.reject(failure.error));
      return answer({ failure: describe(failure.error) });
    }
  };
