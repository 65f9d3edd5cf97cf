// Whose code is executing: the run and, inside of a callback, the step call.

import { AsyncLocalStorage } from 'node:async_hooks';

const storage = new AsyncLocalStorage();

export const enter = storage.run.bind(storage);
// `{ run, call }`, or undefined outside of runs. `call` is null outside of callbacks.
export const current = storage.getStore.bind(storage);
export const outside = storage.exit.bind(storage);
