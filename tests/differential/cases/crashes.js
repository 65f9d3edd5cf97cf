// What happens when the whole engine is killed and started again: `before` runs, then the kill, then `after`.

import { pause } from '../kit.js';
import { caught, fail, once, quick } from './common.js';

const wait = async (step) => (await step.waitForEvent('w', { type: 'go', timeout: '1 minute' })).payload;

// Brings an instance to its wait for `go`; afterwards the event is sent.
const inWait = (run, more) => ({
  run,
  async before(t) {
    await t.create();
    await t.event('wait_started');
    await t.settled();
  },
  async after(t) {
    await t.found();
    await t.settled();
    await t.instance().sendEvent({ type: 'go', payload: 'after the crash' });
    await t.stopIfStuck();
  },
  ...more,
});

// Brings an instance into a callback that never ends by itself.
const inStep = (run) => ({
  run,
  async before(t) {
    await t.create();
    await t.marked('works');
    await t.settled();
  },
  async after(t) {
    await t.found();
    await t.stopIfStuck();
  },
});

async function found(t) {
  await t.found();
  await t.stopIfStuck();
}

export default {
  'crash-while-waiting': inWait(async (event, step) => {
    const one = await step.do('one', async () => new Map([['kept', 1n]]));
    const payload = await wait(step);
    return [one.get('kept') === 1n, payload, await step.do('two', async () => 'two')];
  }),
  'crash-replays-errors': inWait(async (event, step) => {
    const bad = await caught(() =>
      step.do('bad', quick(1), async () => {
        throw new RangeError('stays');
      }),
    );
    await wait(step);
    return bad;
  }),
  'crash-replays-stream': inWait(async (event, step) => {
    const stream = await step.do('stream', async () => new Response('read after the crash').body);
    await wait(step);
    return await new Response(stream).text();
  }),
  'crash-then-rollback': inWait(async (event, step, { mark }) => {
    for (const name of ['one', 'two']) {
      await step.do(name, async () => name, { rollback: async ({ output }) => void mark(`undo ${output}`) });
    }
    await wait(step);
    fail('after all');
  }),
  'crash-then-terminate-with-rollback': inWait(
    async (event, step, { mark }) => {
      for (const name of ['one', 'two']) {
        await step.do(name, async () => name, { rollback: async ({ output }) => void mark(`undo ${output}`) });
      }
      await wait(step);
    },
    {
      async after(t) {
        await t.found();
        await t.settled();
        await t.attempt('terminated', () => t.instance().terminate({ rollback: true }));
        await t.stopIfStuck();
      },
    },
  ),
  'crash-parallel-waits': {
    async run(event, step) {
      const [a, b] = await Promise.all(
        ['a', 'b'].map((type) => step.waitForEvent(type, { type, timeout: '1 minute' })),
      );
      return [a.payload, b.payload];
    },
    async before(t) {
      await t.create();
      await t.event('wait_started', 'main', 2);
      await t.instance().sendEvent({ type: 'b', payload: 'before' });
      await t.event('wait_completed');
      await t.settled();
    },
    async after(t) {
      await t.found();
      await t.settled();
      await t.instance().sendEvent({ type: 'a', payload: 'after' });
      await t.stopIfStuck();
    },
  },
  'crash-while-sleeping': {
    async run(event, step) {
      await step.sleep('nap', '20 seconds');
      return 'slept';
    },
    async before(t) {
      await t.create();
      await t.event('sleep_started');
      await t.settled();
    },
    async after(t) {
      await t.found();
      await t.end();
    },
  },
  'crash-in-step': inStep(async (event, step, { mark }) => {
    return await step.do('hold', quick(2), async ({ attempt }) => {
      mark('works');
      if (attempt === 1) await new Promise(() => {});
      return attempt;
    });
  }),
  'crash-in-step-without-retries': inStep(async (event, step, { mark }) => {
    return await caught(() =>
      step.do('hold', once, async () => {
        mark('works');
        await new Promise(() => {});
      }),
    );
  }),
  'crash-in-second-attempt': inStep(async (event, step, { mark }) => {
    return await step.do('hold', quick(3), async ({ attempt }) => {
      if (attempt === 1) fail('first');
      if (attempt > 2) return attempt;
      mark('works');
      await new Promise(() => {});
    });
  }),
  'crash-beside-finished-step': inStep(async (event, step, { mark }) => {
    const one = step.do('one', async () => 'one');
    const two = step.do('two', quick(1), async ({ attempt }) => {
      if (attempt > 1) return 'two';
      await one;
      await pause(100);
      mark('works');
      await new Promise(() => {});
    });
    return await Promise.all([one, two]);
  }),
  'crash-between-attempts': {
    async run(event, step) {
      return await step.do('flaky', { retries: { limit: 2, delay: '20 seconds' } }, async ({ attempt }) =>
        attempt === 1 ? fail('first') : attempt,
      );
    },
    async before(t) {
      await t.create();
      await t.event('attempt_errored');
      await t.settled();
    },
    async after(t) {
      await t.found();
      await t.end();
    },
  },
  'crash-in-rollback': {
    async run(event, step, { mark, marks }) {
      await step.do('one', async () => 'one', { rollback: async () => void mark('undo one') });
      await step.do('two', async () => 'two', {
        rollback: async () => {
          mark('works');
          // Marks do not survive the crash.
          if (marks.includes('hang')) await new Promise(() => {});
        },
        rollbackConfig: quick(2),
      });
      fail('original');
    },
    async before(t) {
      await t.create();
      t.marks().push('hang');
      await t.marked('works');
      await t.settled();
    },
    after: found,
  },
  'crash-while-paused': {
    run: async (event, step) => await wait(step),
    async before(t) {
      await t.create();
      await t.event('wait_started');
      await t.settled();
      await t.instance().pause();
      await t.status('main', 'paused');
      await t.instance().sendEvent({ type: 'go', payload: 'while paused' });
    },
    async after(t) {
      await t.found();
      await t.settled();
      await t.say('status', (await t.instance().status()).status);
      await t.attempt('resumed', () => t.instance().resume());
      await t.stopIfStuck();
    },
  },
  'crash-while-pausing': {
    async run(event, step, { mark }) {
      const held = await step.do('hold', quick(1), async ({ attempt }) => {
        mark('works');
        if (attempt === 1) await new Promise(() => {});
        return attempt;
      });
      return await step.do('after', async () => held);
    },
    async before(t) {
      await t.create();
      await t.marked('works');
      await t.settled();
      await t.instance().pause();
      await t.settled();
    },
    async after(t) {
      await t.found();
      const status = await t.quiet();
      await t.say('status', status);
      if (status === 'paused') await t.instance().resume();
      await t.stopIfStuck();
    },
  },
  'crash-after-end': {
    run: async (event, step) => await step.do('one', async () => ({ done: true })),
    async before(t) {
      await t.create();
      await t.end();
    },
    after: found,
  },
  'crash-after-failure': {
    run: async () => fail('failed'),
    async before(t) {
      await t.create();
      await t.end();
    },
    after: found,
  },
  'crash-after-terminate': {
    run: async (event, step) => await wait(step),
    async before(t) {
      await t.create();
      await t.event('wait_started');
      await t.instance().terminate();
      await t.status('main', 'terminated');
    },
    after: found,
  },
  'crash-after-delete': {
    run: async () => 'done',
    async before(t) {
      await t.create();
      await t.end();
      await t.instance().delete();
    },
    async after(t) {
      await t.attempt('got', () => t.binding.get(t.idOf('main')));
    },
  },
  'crash-wait-times-out-meanwhile': {
    async run(event, step) {
      return await caught(() => step.waitForEvent('w', { type: 'go', timeout: '20 seconds' }));
    },
    async before(t) {
      await t.create();
      await t.event('wait_started');
      await t.settled();
    },
    async after(t) {
      await t.found();
      await t.end();
    },
  },
};
