// Rollbacks: what was done is undone, in reverse.

import { NonRetryableError } from 'cloudflare:workflows';
import { caught, each, fail, once, quick, stopIfStuck } from './common.js';

// A step that succeeds, and a handler that leaves a mark.
const good = (step, name, { mark }, options) =>
  step.do(name, once, async () => `${name} done`, {
    rollback: async ({ output }) => void mark(`undo ${name}: ${output}`),
    ...options,
  });

const stuck = async (event, step, kit) => {
  await good(step, 'one', kit);
  await good(step, 'two', kit);
  await step.waitForEvent('w', { type: 'go', timeout: '1 minute' });
};

async function terminated(t, options) {
  await t.create();
  await t.event('wait_started');
  await t.settled();
  await t.attempt('terminate', () => t.instance().terminate(options));
}

// A handler that fails in some way; its step comes first, so a step after it is undone before.
const handler = ({ rollback, rollbackConfig }) => ({
  async run(event, step, kit) {
    await good(step, 'first', kit);
    await good(step, 'middle', kit, { rollback: (given) => rollback(given, kit), rollbackConfig });
    await good(step, 'last', kit);
    fail('original');
  },
  drive: stopIfStuck,
});

export default {
  'rollback-one': {
    async run(event, step, kit) {
      await good(step, 'one', kit);
      fail('original');
    },
  },
  'rollback-reverse': {
    async run(event, step, kit) {
      for (const name of ['one', 'two', 'three']) await good(step, name, kit);
      fail('original');
    },
  },
  'rollback-failing-step-too': {
    async run(event, step, { mark, shown }) {
      await step.do('bad', quick(1), async () => fail('bad'), {
        rollback: async ({ output, error }) => void mark(JSON.stringify([await shown(output), error.message])),
      });
    },
  },
  'rollback-input': {
    async run(event, step, { mark, shown }) {
      await step.do('one', { retries: { limit: 2, delay: 10 }, timeout: '1 minute' }, async () => ({ id: 7 }), {
        rollback: async (given) => {
          mark(Object.keys(given).sort().join());
          mark(JSON.stringify(await shown({ ctx: given.ctx, output: given.output, stepName: given.stepName })));
          const { error } = given;
          mark(JSON.stringify([error.constructor.name, error.name, error.message]));
        },
        rollbackConfig: { retries: { limit: 1, delay: 20, backoff: 'linear' }, timeout: '2 minutes' },
      });
      throw new RangeError('original');
    },
  },
  'rollback-default-config': {
    async run(event, step, { mark, shown }) {
      await step.do('one', once, async () => 1, { rollback: async ({ ctx }) => void mark(JSON.stringify(await shown(ctx))) });
      fail('original');
    },
  },
  'rollback-not-on-success': {
    async run(event, step, kit) {
      return await good(step, 'one', kit);
    },
  },
  'rollback-not-when-caught': {
    async run(event, step, kit) {
      await good(step, 'one', kit);
      await caught(() => step.do('bad', once, async () => fail('bad'), { rollback: async () => kit.mark('undo bad') }));
      return 'caught';
    },
  },
  'rollback-after-caught': {
    async run(event, step, kit) {
      await caught(() => step.do('bad', once, async () => fail('bad'), { rollback: async () => void kit.mark('undo bad') }));
      await good(step, 'one', kit);
      fail('original');
    },
  },
  'rollback-some-without': {
    async run(event, step, kit) {
      await good(step, 'one', kit);
      await step.do('plain', async () => 'plain');
      await step.sleep('nap', 5);
      await good(step, 'two', kit);
      fail('original');
    },
  },
  'rollback-none': {
    async run(event, step) {
      await step.do('one', async () => 1);
      fail('original');
    },
  },
  'rollback-parallel': {
    async run(event, step, kit) {
      const later = good(step, 'one', kit);
      await good(step, 'two', kit);
      await later;
      fail('original');
    },
  },
  'rollback-nested': {
    async run(event, step, kit) {
      await step.do('outer', once, async () => good(step, 'inner', kit), {
        rollback: async () => void kit.mark('undo outer'),
      });
      fail('original');
    },
  },
  'rollback-same-name': {
    async run(event, step, { mark }) {
      for (let i = 1; i <= 2; i++) {
        await step.do('same', async () => i, {
          rollback: async ({ ctx, stepName, output }) => void mark(`${stepName} ${ctx.step.count} ${output}`),
        });
      }
      fail('original');
    },
  },
  'rollback-non-retryable': {
    async run(event, step, kit) {
      await good(step, 'one', kit);
      await step.do('bad', quick(3), async () => {
        throw new NonRetryableError('enough');
      });
    },
  },
  'rollback-undefined-output': {
    async run(event, step, { mark }) {
      await step.do('one', async () => {}, { rollback: async ({ output }) => void mark(typeof output) });
      fail('original');
    },
  },
  'rollback-rich-output': {
    async run(event, step, { mark, shown }) {
      await step.do('one', async () => new Map([['a', new Date(0)]]), {
        rollback: async ({ output }) => void mark(JSON.stringify(await shown(output))),
      });
      fail('original');
    },
  },
  'rollback-steps-inside': {
    async run(event, step, { mark }) {
      await step.do('one', async () => 1, {
        rollback: async () => {
          mark(JSON.stringify(await caught(() => step.do('inside', async () => 1))));
        },
      });
      fail('original');
    },
  },
  'rollback-wait-inside': {
    async run(event, step, { mark }) {
      await step.do('one', async () => 1, {
        rollback: async () => {
          mark(JSON.stringify(await caught(() => step.waitForEvent('inside', { type: 'go', timeout: 1000 }))));
        },
      });
      fail('original');
    },
  },
  'rollback-sleep-inside': {
    async run(event, step, { mark }) {
      await step.do('one', async () => 1, {
        rollback: async () => {
          mark(JSON.stringify(await caught(() => step.sleep('inside', 10))));
        },
      });
      fail('original');
    },
  },
  'rollback-throws-text': {
    async run(event, step, kit) {
      await good(step, 'one', kit);
      throw 'just text';
    },
  },
  ...each('rollback-handler', handler, {
    retried: {
      rollback: async ({ ctx }, { mark }) => {
        mark(`attempt ${ctx.attempt}`);
        if (ctx.attempt < 3) fail(`undo ${ctx.attempt}`);
      },
      rollbackConfig: quick(3),
    },
    fails: { rollback: async () => fail('cannot undo'), rollbackConfig: quick(1) },
    final: {
      rollback: async () => {
        throw new NonRetryableError('cannot undo');
      },
      rollbackConfig: quick(3),
    },
    late: { rollback: () => new Promise(() => {}), rollbackConfig: { ...once, timeout: 200 } },
    'returns-value': { rollback: async () => ({ undone: true }) },
    'returns-function': { rollback: async () => () => 1, rollbackConfig: once },
    'not-async': { rollback: () => 1 },
    'delay-function': {
      rollback: async ({ ctx }) => (ctx.attempt === 1 ? fail('once') : undefined),
      rollbackConfig: { retries: { limit: 1, delay: () => 15 } },
    },
    'delay-function-throws': {
      rollback: async () => fail('once'),
      rollbackConfig: { retries: { limit: 1, delay: () => fail('cannot say') } },
    },
    exponential: {
      rollback: async ({ ctx }) => (ctx.attempt < 3 ? fail(`undo ${ctx.attempt}`) : undefined),
      rollbackConfig: { retries: { limit: 3, delay: 10, backoff: 'exponential' } },
    },
  }),
  'rollback-terminate': { run: stuck, drive: (t) => terminated(t, { rollback: true }) },
  'rollback-terminate-not': { run: stuck, drive: (t) => terminated(t, { rollback: false }) },
  'rollback-terminate-unknown-key': { run: stuck, drive: (t) => terminated(t, { undo: true }) },
  'rollback-terminate-text': { run: stuck, drive: (t) => terminated(t, { rollback: 'yes' }) },
  'rollback-terminate-none': {
    async run(event, step) {
      await step.waitForEvent('w', { type: 'go', timeout: '1 minute' });
    },
    drive: (t) => terminated(t, { rollback: true }),
  },
  'rollback-terminate-finished': {
    async run(event, step, kit) {
      await good(step, 'one', kit);
    },
    async drive(t) {
      await t.create();
      await t.end();
      await t.attempt('terminate', () => t.instance().terminate({ rollback: true }));
    },
  },
  'rollback-terminate-paused': {
    run: stuck,
    async drive(t) {
      await t.create();
      await t.event('wait_started');
      await t.settled();
      await t.instance().pause();
      await t.status('main', 'paused');
      await t.attempt('terminate', () => t.instance().terminate({ rollback: true }));
    },
  },
  'rollback-terminate-failing': {
    async run(event, step, kit) {
      await good(step, 'one', kit);
      await good(step, 'two', kit, { rollback: async () => fail('cannot undo'), rollbackConfig: once });
      await step.waitForEvent('w', { type: 'go', timeout: '1 minute' });
    },
    drive: (t) => terminated(t, { rollback: true }),
  },
  'rollback-status': {
    // What status() says while a handler works.
    async run(event, step, { mark, marks }) {
      await step.do('one', async () => 1, {
        rollback: async () => {
          mark('undoing');
          while (!marks.includes('enough')) await new Promise((resolve) => setTimeout(resolve, 10));
        },
      });
      fail('original');
    },
    async drive(t) {
      await t.create();
      await t.marked('undoing');
      await t.settled();
      await t.say('status', await t.instance().status());
      for (const name of ['pause', 'resume']) await t.attempt(name, () => t.instance()[name]());
      await t.settled();
      t.marks().push('enough');
    },
  },
  'rollback-terminated-meanwhile': {
    async run(event, step, { mark, marks }) {
      await step.do('one', async () => 1, {
        rollback: async () => {
          mark('undoing');
          while (!marks.includes('enough')) await new Promise((resolve) => setTimeout(resolve, 10));
        },
      });
      fail('original');
    },
    async drive(t) {
      await t.create();
      await t.marked('undoing');
      await t.settled();
      await t.attempt('terminate', () => t.instance().terminate());
      t.marks().push('enough');
    },
  },
  'rollback-then-restart': {
    async run(event, step, kit) {
      const n = kit.count('run');
      await good(step, 'one', kit);
      if (n === 1) fail('original');
      return n;
    },
    async drive(t) {
      await t.create();
      await t.end();
      await t.instance().restart();
      t.restarted();
      await t.event('workflow_completed');
    },
  },
};
