// Attempts, retries, their delays and timeouts.

import { pause } from '../kit.js';
import { caught, each, fail, quick } from './common.js';

// A step that fails until an attempt, with a configuration.
const flaky = ({ until = 3, config }) => ({
  async run(event, step) {
    return await step.do('flaky', config, async ({ attempt }) => (attempt < until ? fail(`no ${attempt}`) : attempt));
  },
});

// A step whose delay comes from a function.
const delayed = ({ delay, limit = 1, ...more }) => ({
  async run(event, step) {
    return await caught(() =>
      step.do('flaky', { retries: { limit, delay, ...more } }, async ({ attempt }) =>
        attempt === 1 ? fail('first') : attempt,
      ),
    );
  },
});

export default {
  ...each('retry', flaky, {
    constant: { config: quick(3) },
    linear: { config: quick(3, { backoff: 'linear' }) },
    exponential: { config: quick(3, { backoff: 'exponential' }), until: 4 },
    'default-backoff': { config: { retries: { limit: 3, delay: 10 } } },
    'delay-zero': { config: quick(2, { delay: 0 }) },
    'delay-text': { config: quick(2, { delay: '0.02 seconds' }) },
    'delay-fraction': { config: quick(2, { delay: 10.6 }) },
    'last-attempt': { config: quick(2) },
    exhausted: { config: quick(1) },
    'limit-zero': { config: quick(0), until: 2 },
    'limit-most': { config: quick(10_000), until: 2 },
  }),
  'retry-default': {
    async run(event, step) {
      return await step.do('flaky', async ({ attempt }) => (attempt === 1 ? fail('first') : attempt));
    },
  },
  'retry-timeout-config-only': {
    async run(event, step) {
      return await step.do('flaky', { timeout: '1 minute' }, async ({ attempt }) => (attempt === 1 ? fail('first') : attempt));
    },
  },
  'retry-parallel': {
    async run(event, step) {
      const slow = (name, delay) =>
        step.do(name, quick(1, { delay }), async ({ attempt }) => (attempt === 1 ? fail(name) : name));
      const one = await slow('one', 10);
      return [one, await slow('two', 20)];
    },
  },
  'retry-attempts-counted': {
    async run(event, step, { count }) {
      const bad = await caught(() =>
        step.do('bad', quick(3), async ({ attempt }) => {
          count('attempt');
          fail(`attempt ${attempt}`);
        }),
      );
      return bad;
    },
  },
  'retry-nested-inner': {
    async run(event, step) {
      return await step.do('outer', quick(1), async (outer) => {
        const inner = await step.do('inner', quick(2), async ({ attempt }) => (attempt < 2 ? fail('inner') : attempt));
        return [outer.attempt, inner];
      });
    },
  },
  'retry-nested-outer': {
    async run(event, step) {
      return await step.do('outer', quick(2), async ({ attempt }) => {
        const inner = await step.do('inner', async (ctx) => ctx.step.count);
        if (attempt < 3) fail(`outer ${attempt}`);
        return [attempt, inner];
      });
    },
  },
  'timeout-caught': {
    async run(event, step) {
      return await caught(() => step.do('slow', { ...quick(0), timeout: 200 }, () => new Promise(() => {})));
    },
  },
  'timeout-uncaught': {
    async run(event, step) {
      return await step.do('slow', { ...quick(0), timeout: 200 }, () => new Promise(() => {}));
    },
  },
  'timeout-retried': {
    async run(event, step) {
      return await step.do('slow', { ...quick(2), timeout: 200 }, async ({ attempt }) => {
        if (attempt < 3) await new Promise(() => {});
        return attempt;
      });
    },
  },
  'timeout-text': {
    async run(event, step) {
      return await caught(() => step.do('slow', { ...quick(0), timeout: '0.2 seconds' }, () => new Promise(() => {})));
    },
  },
  'timeout-late-result': {
    async run(event, step, { mark }) {
      const first = await caught(() =>
        step.do('slow', { ...quick(0), timeout: 200 }, async () => {
          await pause(1_000);
          mark('late');
          return 'too late';
        }),
      );
      await step.do('wait for it', async () => pause(1_500));
      return first;
    },
  },
  'timeout-late-error': {
    async run(event, step) {
      const first = await step.do('slow', { ...quick(1), timeout: 200 }, async ({ attempt }) => {
        if (attempt === 2) return 'second';
        await pause(1_000);
        fail('too late');
      });
      await step.do('wait for it', async () => pause(1_500));
      return first;
    },
  },
  'timeout-fractional': {
    async run(event, step) {
      return await caught(() => step.do('slow', { ...quick(0), timeout: 200.7 }, () => new Promise(() => {})));
    },
  },
  ...each('delay-function', delayed, {
    number: { delay: () => 10 },
    text: { delay: () => '0.02 seconds' },
    async: { delay: async () => 10 },
    zero: { delay: () => 0 },
    throws: { delay: () => fail('cannot say') },
    'throws-type-error': {
      delay: () => {
        throw new TypeError('cannot say');
      },
    },
    'throws-text': {
      delay: () => {
        throw 'cannot say';
      },
    },
    rejects: { delay: async () => fail('cannot say') },
    nothing: { delay: () => undefined },
    words: { delay: () => 'soon' },
    negative: { delay: () => -5 },
    'not-a-number': { delay: () => NaN },
    infinite: { delay: () => Infinity },
    object: { delay: () => ({ millis: 5 }) },
    late: { delay: () => new Promise(() => {}) },
    constant: { delay: () => 10, backoff: 'constant', limit: 2 },
  }),
  'delay-function-linear': {
    async run(event, step) {
      const retries = { limit: 3, delay: () => 10, backoff: 'linear' };
      return await step.do('flaky', { retries }, async ({ attempt }) => (attempt < 4 ? fail(`no ${attempt}`) : attempt));
    },
  },
  'delay-function-input': {
    async run(event, step, { mark }) {
      const delay = ({ ctx, error, ...more }) => {
        mark(JSON.stringify({ ctx, error: [error.constructor.name, error.name, error.message], more }));
        return 10 * ctx.attempt;
      };
      return await step.do('flaky', { retries: { limit: 3, delay } }, async ({ attempt }) => {
        if (attempt === 1) throw new RangeError('out of range');
        if (attempt === 2) throw Object.assign(new Error('named'), { name: 'CustomError' });
        return attempt;
      });
    },
  },
  'delay-function-context': {
    async run(event, step) {
      return await step.do('one', { retries: { limit: 1, delay: () => 5, backoff: 'constant' } }, async (ctx) => ctx);
    },
  },
  'delay-function-unused': {
    async run(event, step, { mark }) {
      const delay = () => mark('asked');
      const bad = await caught(() => step.do('bad', { retries: { limit: 0, delay } }, async () => fail()));
      return { bad, good: await step.do('good', { retries: { limit: 1, delay } }, async () => 'good') };
    },
  },
};
