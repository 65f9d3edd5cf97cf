// Delay functions: user code that says how long to wait before the next attempt (behaviour §3.1.7).

import { millisOf } from './config.js';
import { describe, isNonRetryable, revive } from './errors.js';
import { clearTimeout, isFinite, PromiseRef, setTimeout, stringify } from './primordials.js';
import { enter } from './scope.js';

const PATIENCE_MILLIS = 5_000;

// What the delay function says: `null` when there is none to ask, `[1,millis]` or `[0,error]`.
export async function askDelay({ scope, config, step, ctx }, attempt, error) {
  const { delay, limit } = config;
  if (delay === undefined || attempt > limit || isNonRetryable(error)) return 'null';
  const fail = (message) =>
    `[0,${stringify(['NonRetryableDelayError', `The delay function for step "${step}" ${message}`])}]`;
  let timer;
  const late = new PromiseRef((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MILLIS, LATE);
  });
  const asked = ask(scope, delay, { ctx, error: revive(error) });
  const answer = await first(asked, late);
  clearTimeout(timer);
  if (answer === LATE) return fail('did not return within 5 seconds');
  if (answer.error !== undefined) return fail(`threw an error: ${describe(answer.error.thrown)[1]}`);
  const millis = millisOf(answer.value);
  if (isFinite(millis) && millis >= 0) return `[1,${stringify(millis - (millis % 1))}]`;
  return fail('returned an invalid delay value (expected a number of ms or a duration string like "30 seconds")');
}

const LATE = { __proto__: null };

async function ask(scope, delay, input) {
  try {
    return { value: await enter(scope, delay, input) };
  } catch (thrown) {
    return { error: { thrown } };
  }
}

// The value of the promise that settles first. Neither ever rejects.
const first = (a, b) =>
  new PromiseRef((resolve) => {
    const take = async (promise) => resolve(await promise);
    take(a);
    take(b);
  });
