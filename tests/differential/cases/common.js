// What cases have in common.

import { error, render } from '../render.js';

// A retry configuration that loses no time.
export const quick = (limit, more) => ({ retries: { limit, delay: 10, backoff: 'constant', ...more } });

// No retries at all.
export const once = quick(0);

// What a call throws, or what it returns, as JSON can say it.
export async function caught(call) {
  try {
    return { returned: await render(await call()) };
  } catch (thrown) {
    return { threw: await error(thrown) };
  }
}

export function fail(message = 'failed') {
  throw new Error(message);
}

// A door that stays closed until it is opened: what makes an order certain.
export function gate() {
  let open;
  const opened = new Promise((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

// Makes cases of one form: `name: argument`.
export const each = (prefix, form, all) =>
  Object.fromEntries(Object.entries(all).map(([name, argument]) => [`${prefix}-${name}`, form(argument)]));

// Drives an instance that may wait for ever: when nothing happens any more, it is terminated.
export async function stopIfStuck(t) {
  await t.create();
  await t.stopIfStuck();
}
