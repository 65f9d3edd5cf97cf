// What step functions refuse, and in which words.

import { caught, each, quick } from './common.js';

// A call of step.do with these arguments: what it throws or returns.
const call = (make) => ({
  async run(event, step) {
    return await caught(() => step.do(...make()));
  },
});

const ok = async () => 'ok';
const retries = (given) => () => ['one', { retries: given }, ok];
const configured = (config) => () => ['one', config, ok];

const configs = {
  'limit-negative': retries({ limit: -1, delay: 10 }),
  'limit-fraction': retries({ limit: 1.5, delay: 10 }),
  'limit-infinite': retries({ limit: Infinity, delay: 10 }),
  'limit-not-a-number': retries({ limit: NaN, delay: 10 }),
  'limit-text': retries({ limit: '3', delay: 10 }),
  'limit-missing': retries({ delay: 10 }),
  'limit-too-high': retries({ limit: 10_001, delay: 10 }),
  'delay-missing': retries({ limit: 1 }),
  'delay-negative': retries({ limit: 1, delay: -1 }),
  'delay-infinite': retries({ limit: 1, delay: Infinity }),
  'delay-not-a-number': retries({ limit: 1, delay: NaN }),
  'delay-abbreviated': retries({ limit: 1, delay: '1s' }),
  'delay-unknown-unit': retries({ limit: 1, delay: '5 lightyears' }),
  'delay-empty': retries({ limit: 1, delay: '' }),
  'delay-boolean': retries({ limit: 1, delay: true }),
  'delay-no-space': retries({ limit: 1, delay: '1second' }),
  'delay-milliseconds': retries({ limit: 1, delay: '10 milliseconds' }),
  'delay-upper-case': retries({ limit: 1, delay: '1 SECOND' }),
  'delay-spaces': retries({ limit: 1, delay: ' 1 second ' }),
  'delay-negative-text': retries({ limit: 1, delay: '-1 second' }),
  'delay-year': retries({ limit: 1, delay: '1 year' }),
  'backoff-unknown': retries({ limit: 1, delay: 10, backoff: 'quadratic' }),
  'backoff-null': retries({ limit: 1, delay: 10, backoff: null }),
  'retries-unknown-key': retries({ limit: 1, delay: 10, jitter: true }),
  'retries-null': retries(null),
  'retries-number': retries(3),
  'retries-array': retries([]),
  'timeout-zero': configured({ timeout: 0 }),
  'timeout-negative': configured({ timeout: -1 }),
  'timeout-infinite': configured({ timeout: Infinity }),
  'timeout-not-a-number': configured({ timeout: NaN }),
  'timeout-abbreviated': configured({ timeout: '1s' }),
  'timeout-null': configured({ timeout: null }),
  'timeout-boolean': configured({ timeout: true }),
  'timeout-day': configured({ timeout: '1 day' }),
  'sensitive-other': configured({ sensitive: 'input' }),
  'sensitive-boolean': configured({ sensitive: true }),
  'unknown-key': configured({ retry: 3 }),
  text: configured('3 times'),
  number: configured(3),
  array: configured([]),
  'class-instance': configured(new (class Config {})()),
};

const names = {
  empty: () => ['', ok],
  unicode: () => ['Schritt 🌍', ok],
  longest: () => ['x'.repeat(256), ok],
  'too-long': () => ['x'.repeat(257), ok],
  'longest-unicode': () => ['🌍'.repeat(128), ok],
  'too-long-unicode': () => ['🌍'.repeat(129), ok],
  newline: () => ['one\ntwo', ok],
  zero: () => ['one\0two', ok],
  delete: () => ['one\x7ftwo', ok],
  spaces: () => ['  one  two  ', ok],
  slash: () => ['one/two?three#four', ok],
  'prototype-word': () => ['__proto__', ok],
  number: () => [7, ok],
  undefined: () => [undefined, ok],
  null: () => [null, ok],
  object: () => [{ name: 'one' }, ok],
};

const callbacks = {
  missing: () => ['one'],
  'missing-after-config': () => ['one', quick(1)],
  text: () => ['one', quick(1), 'callback'],
  null: () => ['one', quick(1), null],
  'and-bad-name': () => ['x'.repeat(257), quick(1)],
  'and-bad-config': () => ['one', { retries: 3 }],
};

const rollbacks = {
  'options-text': () => ['one', ok, 'rollback'],
  'options-null': () => ['one', ok, null],
  'options-array': () => ['one', ok, []],
  'options-empty': () => ['one', ok, {}],
  'not-a-function': () => ['one', ok, { rollback: 'undo' }],
  'config-without-function': () => ['one', ok, { rollbackConfig: quick(1) }],
  'config-text': () => ['one', ok, { rollback() {}, rollbackConfig: 'often' }],
  'config-unknown-key': () => ['one', ok, { rollback() {}, rollbackConfig: { often: true } }],
  'config-bad-retries': () => ['one', ok, { rollback() {}, rollbackConfig: { retries: { limit: -1, delay: 1 } } }],
  'config-sensitive': () => ['one', ok, { rollback() {}, rollbackConfig: { sensitive: 'output' } }],
  'unknown-key': () => ['one', ok, { rollback() {}, undo: true }],
};

export default {
  ...each('config', call, configs),
  ...each('name', call, names),
  ...each('callback', call, callbacks),
  ...each('rollback-refused', call, rollbacks),
  'name-sleep-too-long': {
    async run(event, step) {
      return await caught(() => step.sleep('x'.repeat(257), 5));
    },
  },
  'name-wait-too-long': {
    async run(event, step) {
      return await caught(() => step.waitForEvent('x'.repeat(257), { type: 'go', timeout: 1000 }));
    },
  },
  'name-used-by-all-kinds': {
    async run(event, step) {
      await step.do('same', ok);
      await step.sleep('same', 5);
      const waited = await caught(() => step.waitForEvent('same', { type: 'never', timeout: 1000 }));
      return waited.threw?.message;
    },
  },
  'refused-then-good': {
    // A refused call counts for the next call of its name.
    async run(event, step) {
      await caught(() => step.do('one', { retries: 3 }, ok));
      return await step.do('one', async ({ step }) => step.count);
    },
  },
};
