// Restart from a step: what was reached before it is kept, the rest is done again.

import { caught, each, fail, once } from './common.js';

// Three steps, a sleep and a wait; what each run has done is in the marks.
async function long(event, step, { mark }) {
  const one = await step.do('one', async () => mark('one'));
  await step.sleep('nap', 10);
  const two = await step.do('two', async () => mark('two'));
  const { payload } = await step.waitForEvent('w', { type: 'go', timeout: '1 minute' });
  const three = await step.do('three', async () => mark('three'));
  return { one, two, payload, three };
}

const from = (target) => ({
  run: long,
  async drive(t) {
    await t.create();
    await t.event('wait_started');
    await t.instance().sendEvent({ type: 'go', payload: 'first' });
    await t.end();
    const restarted = await t.attempt('restart', () => t.instance().restart({ from: target }));
    if (restarted.threw) return;
    t.restarted();
    await t.settled();
    await t.instance().sendEvent({ type: 'go', payload: 'second' });
    await t.event('workflow_completed');
  },
});

export default {
  ...each('restart-from', from, {
    first: { name: 'one' },
    middle: { name: 'two' },
    last: { name: 'three' },
    typed: { name: 'two', count: 1, type: 'do' },
    sleep: { name: 'nap', type: 'sleep' },
    wait: { name: 'w', type: 'waitForEvent' },
    'wait-untyped': { name: 'w' },
    unknown: { name: 'four' },
    'unknown-count': { name: 'two', count: 2 },
    'wrong-type': { name: 'two', type: 'sleep' },
    'unknown-type': { name: 'two', type: 'nap' },
    'count-zero': { name: 'two', count: 0 },
    'count-fraction': { name: 'two', count: 1.5 },
    'count-text': { name: 'two', count: '1' },
    'no-name': { count: 1 },
    'name-number': { name: 7 },
    'name-with-count': { name: 'two-1' },
    nothing: {},
    null: null,
    text: 'two',
    'unknown-key': { name: 'two', attempt: 1 },
  }),
  'restart-from-same-name': {
    async run(event, step, { mark }) {
      const seen = [];
      for (let i = 0; i < 3; i++) seen.push(await step.do('same', async () => mark(`same ${i}`)));
      return seen;
    },
    async drive(t) {
      await t.create();
      await t.end();
      await t.instance().restart({ from: { name: 'same', count: 2 } });
      t.restarted();
      await t.event('workflow_completed');
    },
  },
  'restart-from-failed-step': {
    async run(event, step, { count, mark }) {
      await step.do('good', async () => mark('good'));
      return await step.do('bad', once, async () => (count('bad') === 1 ? fail('first time') : 'second time'));
    },
    async drive(t) {
      await t.create();
      await t.end();
      await t.instance().restart({ from: { name: 'bad' } });
      t.restarted();
      await t.event('workflow_completed');
    },
  },
  'restart-from-caught-failure': {
    async run(event, step, { mark }) {
      const bad = await caught(() => step.do('bad', once, async () => fail(`bad ${mark('bad')}`)));
      return [bad, await step.do('good', async () => mark('good'))];
    },
    async drive(t) {
      await t.create();
      await t.end();
      await t.instance().restart({ from: { name: 'good' } });
      t.restarted();
      await t.event('workflow_completed');
    },
  },
  'restart-from-while-waiting': {
    run: long,
    async drive(t) {
      await t.create();
      await t.event('wait_started');
      await t.settled();
      await t.instance().restart({ from: { name: 'two' } });
      t.restarted();
      await t.event('wait_started');
      await t.settled();
      await t.instance().sendEvent({ type: 'go', payload: 'after' });
      await t.event('workflow_completed');
    },
  },
  'restart-from-nested': {
    async run(event, step, { mark }) {
      return await step.do('outer', async () => {
        const inner = await step.do('inner', async () => mark('inner'));
        mark('outer');
        return inner;
      });
    },
    async drive(t) {
      await t.create();
      await t.end();
      await t.instance().restart({ from: { name: 'inner' } });
      t.restarted();
      await t.event('workflow_completed');
    },
  },
  'restart-from-twice': {
    async run(event, step, { mark }) {
      await step.do('one', async () => mark('one'));
      return await step.do('two', async () => mark('two'));
    },
    async drive(t) {
      await t.create();
      await t.end();
      for (const n of [2, 3]) {
        await t.instance().restart({ from: { name: 'two' } });
        t.restarted();
        await t.event('workflow_completed');
        await t.end();
      }
    },
  },
  'restart-options-unknown': {
    run: long,
    async drive(t) {
      await t.create();
      await t.event('wait_started');
      await t.settled();
      const restarted = await t.attempt('restart', () => t.instance().restart({ to: 'two' }));
      if (!restarted.threw) {
        t.restarted();
        await t.event('wait_started');
      }
      await t.settled();
      await t.instance().sendEvent({ type: 'go' });
      await t.event('workflow_completed');
    },
  },
};
