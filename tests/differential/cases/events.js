// waitForEvent and sendEvent.

import { caught, each, stopIfStuck } from './common.js';

// workerd lets go of a run that waits for longer.
const PATIENCE = '1 minute';

const waits = (options) => ({
  async run(event, step) {
    return await caught(() => step.waitForEvent('w', options));
  },
  drive: stopIfStuck,
});

// An event with a payload, as it arrives.
const payload = (make) => ({
  async run(event, step, { shown }) {
    const { payload, type } = await step.waitForEvent('w', { type: 'go', timeout: PATIENCE });
    return { type, payload: await shown(payload) };
  },
  async drive(t) {
    await t.create();
    await t.event('wait_started');
    const sent = await t.attempt('sent', () => t.instance().sendEvent({ type: 'go', payload: make() }));
    if (sent.threw) await t.instance().terminate();
  },
});

// An event type, sent to an instance that waits for something else.
const type = (name) => ({
  async run(event, step) {
    return (await step.waitForEvent('w', { type: 'end', timeout: PATIENCE })).type;
  },
  async drive(t) {
    await t.create();
    await t.event('wait_started');
    await t.attempt('sent', () => t.instance().sendEvent(name));
    await t.instance().sendEvent({ type: 'end' });
  },
});

export default {
  'event-simple': {
    async run(event, step, { shown }) {
      return await shown(await step.waitForEvent('w', { type: 'go', timeout: PATIENCE }));
    },
    async drive(t) {
      await t.create();
      await t.event('wait_started');
      await t.attempt('sent', () => t.instance().sendEvent({ type: 'go', payload: { a: [1, 2] } }));
    },
  },
  'event-before-wait': {
    async run(event, step, { mark, marks }) {
      mark('runs');
      await step.do('hold', async () => {
        while (!marks.includes('sent')) await new Promise((resolve) => setTimeout(resolve, 10));
      });
      return (await step.waitForEvent('w', { type: 'go', timeout: PATIENCE })).payload;
    },
    async drive(t) {
      await t.create();
      await t.marked('runs');
      await t.instance().sendEvent({ type: 'go', payload: 'early' });
      t.marks().push('sent');
    },
  },
  'event-right-after-create': {
    async run(event, step) {
      return (await step.waitForEvent('w', { type: 'go', timeout: PATIENCE })).payload;
    },
    async drive(t) {
      const instance = await t.create();
      await instance.sendEvent({ type: 'go', payload: 'at once' });
    },
  },
  'event-first-in-first-out': {
    async run(event, step, { mark, marks }) {
      mark('runs');
      await step.do('hold', async () => {
        while (!marks.includes('sent')) await new Promise((resolve) => setTimeout(resolve, 10));
      });
      const one = await step.waitForEvent('one', { type: 'go', timeout: PATIENCE });
      const two = await step.waitForEvent('two', { type: 'go', timeout: PATIENCE });
      return [one.payload, two.payload];
    },
    async drive(t) {
      await t.create();
      await t.marked('runs');
      for (const payload of ['first', 'second']) await t.instance().sendEvent({ type: 'go', payload });
      t.marks().push('sent');
    },
  },
  'event-oldest-waiter-first': {
    async run(event, step) {
      const [one, two] = await Promise.all([
        step.waitForEvent('one', { type: 'go', timeout: PATIENCE }),
        step.waitForEvent('two', { type: 'go', timeout: PATIENCE }),
      ]);
      return { one: one.payload, two: two.payload };
    },
    async drive(t) {
      await t.create();
      await t.event('wait_started', 'main', 2);
      await t.instance().sendEvent({ type: 'go', payload: 'first' });
      await t.event('wait_completed');
      await t.instance().sendEvent({ type: 'go', payload: 'second' });
    },
  },
  'event-types-apart': {
    async run(event, step) {
      const a = step.waitForEvent('a', { type: 'a', timeout: PATIENCE });
      const b = step.waitForEvent('b', { type: 'b', timeout: PATIENCE });
      return [(await b).payload, (await a).payload];
    },
    async drive(t) {
      await t.create();
      await t.event('wait_started', 'main', 2);
      await t.instance().sendEvent({ type: 'b', payload: 'for b' });
      await t.event('wait_completed');
      await t.instance().sendEvent({ type: 'a', payload: 'for a' });
    },
  },
  'event-other-type-stays': {
    async run(event, step) {
      await step.waitForEvent('first', { type: 'first', timeout: PATIENCE });
      return (await step.waitForEvent('other', { type: 'other', timeout: PATIENCE })).payload;
    },
    async drive(t) {
      await t.create();
      await t.event('wait_started');
      await t.instance().sendEvent({ type: 'other', payload: 'kept' });
      await t.instance().sendEvent({ type: 'first' });
    },
  },
  'event-same-wait-name': {
    async run(event, step) {
      const seen = [];
      for (let i = 0; i < 2; i++) seen.push((await step.waitForEvent('w', { type: 'go', timeout: PATIENCE })).payload);
      return seen;
    },
    async drive(t) {
      await t.create();
      for (const payload of [1, 2]) {
        await t.event('wait_started', 'main', payload);
        await t.instance().sendEvent({ type: 'go', payload });
      }
    },
  },
  'event-timeout': {
    async run(event, step) {
      return await caught(() => step.waitForEvent('w', { type: 'go', timeout: '1 second' }));
    },
  },
  'event-timeout-uncaught': {
    async run(event, step) {
      await step.waitForEvent('w', { type: 'go', timeout: 1000 });
    },
  },
  'event-after-timeout': {
    // A waiter that has timed out takes nothing.
    async run(event, step) {
      const first = await caught(() => step.waitForEvent('first', { type: 'go', timeout: 1000 }));
      const second = await step.waitForEvent('second', { type: 'go', timeout: PATIENCE });
      return [first.threw?.message, second.payload];
    },
    async drive(t) {
      await t.create();
      await t.event('wait_started', 'main', 2);
      await t.instance().sendEvent({ type: 'go', payload: 'for the second' });
    },
  },
  'event-race-with-sleep': {
    async run(event, step) {
      const answer = step.waitForEvent('w', { type: 'go', timeout: PATIENCE }).then(({ payload }) => payload);
      return await Promise.race([answer, step.sleep('patience', PATIENCE)]);
    },
    async drive(t) {
      await t.create();
      await t.event('sleep_started');
      await t.settled();
      await t.instance().sendEvent({ type: 'go', payload: 'in time' });
    },
  },
  'event-in-step': {
    async run(event, step) {
      return await step.do('outer', async () => {
        const { payload } = await step.waitForEvent('w', { type: 'go', timeout: PATIENCE });
        return payload;
      });
    },
    async drive(t) {
      await t.create();
      await t.event('wait_started');
      await t.instance().sendEvent({ type: 'go', payload: 'inside' });
    },
  },
  'event-to-finished': {
    async run() {
      return 'done';
    },
    async drive(t) {
      await t.create();
      await t.end();
      await t.attempt('sent', () => t.instance().sendEvent({ type: 'go', payload: 1 }));
    },
  },
  'event-to-terminated': {
    async run(event, step) {
      await step.sleep('nap', PATIENCE);
    },
    async drive(t) {
      await t.create();
      await t.event('sleep_started');
      await t.instance().terminate();
      await t.attempt('sent', () => t.instance().sendEvent({ type: 'go', payload: 1 }));
    },
  },
  'event-to-deleted': {
    async run() {},
    async drive(t) {
      await t.create();
      await t.end();
      await t.instance().delete();
      await t.attempt('sent', () => t.instance().sendEvent({ type: 'go', payload: 1 }));
      t.leave();
    },
  },
  'event-left-over': {
    async run(event, step) {
      return (await step.waitForEvent('w', { type: 'go', timeout: PATIENCE })).payload;
    },
    async drive(t) {
      await t.create();
      await t.event('wait_started');
      for (const payload of [1, 2, 3]) await t.instance().sendEvent({ type: 'go', payload });
    },
  },
  ...each('event-payload', payload, {
    none: () => undefined,
    null: () => null,
    text: () => 'text',
    number: () => -0,
    date: () => new Date(86_400_000),
    map: () => new Map([[1, new Set(['a'])]]),
    bigint: () => 12n,
    bytes: () => new Uint8Array([1, 2, 3]),
    error: () => new TypeError('an error'),
    function: () => () => 1,
    symbol: () => Symbol('s'),
    'class-instance': () => new (class Thing {})(),
  }),
  ...each('event-type', type, {
    longest: { type: 'x'.repeat(100) },
    'too-long': { type: 'x'.repeat(101) },
    empty: { type: '' },
    space: { type: 'two words' },
    dot: { type: 'a.b' },
    dash: { type: 'a-b_c' },
    'leading-dash': { type: '-a' },
    number: { type: 7 },
    missing: { payload: 1 },
    'no-options': undefined,
  }),
  ...each('wait', waits, {
    'no-options': undefined,
    'options-null': null,
    'options-text': 'go',
    'no-type': { timeout: 1000 },
    'type-number': { type: 7, timeout: 1000 },
    'type-empty': { type: '', timeout: 1000 },
    'type-space': { type: 'two words', timeout: 1000 },
    'type-too-long': { type: 'x'.repeat(101), timeout: 1000 },
    'timeout-short': { type: 'go', timeout: 50 },
    'timeout-zero': { type: 'go', timeout: 0 },
    'timeout-negative': { type: 'go', timeout: -1 },
    'timeout-abbreviated': { type: 'go', timeout: '1s' },
    'timeout-unknown-unit': { type: 'go', timeout: '5 lightyears' },
    'timeout-null': { type: 'go', timeout: null },
    'timeout-infinite': { type: 'go', timeout: Infinity },
    'unknown-key': { type: 'go', timeout: 1000, retries: 3 },
  }),
  ...each('wait-long', waits, {
    'default-timeout': { type: 'go' },
    year: { type: 'go', timeout: '365 days' },
    'too-long': { type: 'go', timeout: '366 days' },
  }),
};
