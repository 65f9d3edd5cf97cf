// A run that begins again after a pause: what is kept, and what is done anew.

import { NonRetryableError } from 'cloudflare:workflows';
import { caught, fail, once, quick } from './common.js';

// Pauses and resumes what waits for the event `go`, and sends it.
async function again(t) {
  await t.settled();
  await t.instance().pause();
  await t.say('paused as', await t.quiet());
  await t.attempt('resumed', () => t.instance().resume());
  await t.settled();
  await t.instance().sendEvent({ type: 'go', payload: 'went' });
  await t.stopIfStuck();
}

// Waits in the middle, where the case is paused and resumed; the second run replays what came before.
const through = (run, more) => ({
  run,
  async drive(t) {
    await t.create();
    await t.event('wait_started');
    await again(t);
  },
  ...more,
});

const wait = (step) => step.waitForEvent('w', { type: 'go', timeout: '1 minute' });

export default {
  'replay-results': through(async (event, step, { count }) => {
    const one = await step.do('one', async () => count('step'));
    await wait(step);
    return { one, two: await step.do('two', async () => count('step')) };
  }),
  'replay-outside-of-steps': through(async (event, step, { count }) => {
    const runs = count('run');
    await wait(step);
    return runs > 0;
  }),
  'replay-mutated-result': through(async (event, step) => {
    const value = await step.do('one', async () => ({ list: [1] }));
    value.list.push(2);
    await wait(step);
    return value.list.length;
  }),
  'replay-rich-result': through(async (event, step, { shown }) => {
    const value = await step.do('one', async () => new Map([['a', [new Date(0), 1n, undefined]]]));
    await wait(step);
    return await shown(value);
  }),
  'replay-undefined-result': through(async (event, step) => {
    const value = await step.do('one', async () => {});
    await wait(step);
    return typeof value;
  }),
  'replay-error': through(async (event, step, { count }) => {
    const bad = await caught(() =>
      step.do('bad', quick(1), async () => {
        count('attempt');
        throw new RangeError('stays');
      }),
    );
    await wait(step);
    return bad;
  }),
  'replay-custom-error': through(async (event, step) => {
    const bad = await caught(() =>
      step.do('bad', once, async () => {
        throw Object.assign(new Error('custom'), { name: 'CustomError' });
      }),
    );
    await wait(step);
    return bad;
  }),
  'replay-non-retryable': through(async (event, step, { count }) => {
    const bad = await caught(() =>
      step.do('bad', quick(3), async () => {
        count('attempt');
        throw new NonRetryableError('enough');
      }),
    );
    await wait(step);
    return bad;
  }),
  'replay-timeout': through(async (event, step, { count }) => {
    const bad = await caught(() =>
      step.do('slow', { ...once, timeout: 200 }, () => {
        count('attempt');
        return new Promise(() => {});
      }),
    );
    await wait(step);
    return bad;
  }),
  'replay-wait-timeout': through(async (event, step) => {
    const missed = await caught(() => step.waitForEvent('missed', { type: 'missed', timeout: '1 second' }));
    await wait(step);
    return missed;
  }, {
    async drive(t) {
      await t.create();
      await t.event('wait_started', 'main', 2);
      await again(t);
    },
  }),
  'replay-event': through(async (event, step, { shown }) => {
    const early = await step.waitForEvent('early', { type: 'early', timeout: '1 minute' });
    await wait(step);
    return await shown(early);
  }, {
    async drive(t) {
      await t.create();
      await t.event('wait_started');
      await t.instance().sendEvent({ type: 'early', payload: new Map([[1, 2]]) });
      await t.event('wait_started', 'main', 2);
      await again(t);
    },
  }),
  'replay-sleep': through(async (event, step) => {
    await step.sleep('nap', 20);
    await wait(step);
    return 'slept once';
  }),
  'replay-same-name': through(async (event, step, { count }) => {
    const seen = [];
    for (let i = 0; i < 3; i++) seen.push(await step.do('same', async () => count('step')));
    await wait(step);
    seen.push(await step.do('same', async () => count('step')));
    return seen;
  }),
  'replay-nested': through(async (event, step, { count }) => {
    const value = await step.do('outer', async () => {
      const inner = await step.do('inner', async () => count('inner'));
      return [inner, count('outer')];
    });
    await wait(step);
    return value;
  }),
  'replay-stream': through(async (event, step) => {
    const stream = await step.do('stream', async () => new Response('a stream that is read later').body);
    await wait(step);
    return await new Response(stream).text();
  }),
  'replay-payload': through(async (event, step) => {
    event.payload.n += 1;
    await wait(step);
    return event.payload.n;
  }, {
    async drive(t) {
      await t.create({ n: 1 });
      await t.event('wait_started');
      await again(t);
    },
  }),
  'replay-timestamp': through(async (event, step) => {
    // Not shown: it is another one each time.
    const stored = await step.do('time', { sensitive: 'output' }, async () => event.timestamp);
    await wait(step);
    return stored.getTime() === event.timestamp.getTime();
  }),
  'replay-rollback': through(async (event, step, { mark }) => {
    await step.do('one', async () => 'kept', { rollback: async ({ output }) => void mark(`undo ${output}`) });
    await wait(step);
    fail('after all');
  }),
  'replay-retries-go-on': {
    // A pause between two attempts: the count goes on.
    async run(event, step, { mark }) {
      return await step.do('flaky', { retries: { limit: 2, delay: 2_500, backoff: 'constant' } }, async ({ attempt }) => {
        mark(`attempt ${attempt}`);
        return attempt < 3 ? fail(`no ${attempt}`) : attempt;
      });
    },
    async drive(t) {
      await t.create();
      await t.event('attempt_errored');
      await t.settled();
      await t.instance().pause();
      await t.status('main', 'paused');
      await t.instance().resume();
    },
  },
};
