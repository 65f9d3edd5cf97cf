// Steps: results, names and counts, nesting, parallel steps.

import { caught, fail, gate, once, quick } from './common.js';

export default {
  'step-none': {
    async run() {
      return 'no step at all';
    },
  },
  'step-once': {
    async run(event, step) {
      return await step.do('one', async () => 1);
    },
  },
  'step-twenty': {
    async run(event, step) {
      let sum = 0;
      for (let i = 1; i <= 20; i++) sum = await step.do(`add ${i}`, async () => sum + i);
      return sum;
    },
  },
  'step-same-name': {
    async run(event, step) {
      const seen = [];
      for (let i = 0; i < 3; i++) seen.push(await step.do('same', async ({ step }) => step));
      return seen;
    },
  },
  'step-context': {
    async run(event, step) {
      const config = { retries: { limit: 2, delay: '1 second', backoff: 'linear' }, timeout: '1 minute' };
      return await step.do('one', config, async (ctx) => ctx);
    },
  },
  'step-context-default': {
    async run(event, step) {
      return await step.do('one', async (ctx) => ctx);
    },
  },
  'step-context-partial': {
    async run(event, step) {
      const timeout = await step.do('timeout', { timeout: 5000 }, async ({ config }) => config);
      const retries = await step.do('retries', { retries: { limit: 1, delay: 5 } }, async ({ config }) => config);
      return { timeout, retries };
    },
  },
  'step-config-nothing': {
    async run(event, step) {
      const empty = await step.do('empty', {}, async () => 'empty');
      const missing = await caught(() => step.do('undefined', undefined, async () => 'undefined'));
      return { empty, missing };
    },
  },
  'step-config-null': {
    async run(event, step) {
      return await caught(() => step.do('null', null, async () => 'null'));
    },
  },
  'step-not-async': {
    async run(event, step) {
      return await step.do('one', () => 'at once');
    },
  },
  'step-thenable': {
    async run(event, step) {
      return await step.do('one', () => ({ then: (resolve) => resolve('from a thenable') }));
    },
  },
  'step-nothing-returned': {
    async run(event, step) {
      return [typeof (await step.do('one', async () => {}))];
    },
  },
  'step-nested': {
    async run(event, step) {
      return await step.do('outer', async () => {
        const inner = await step.do('inner', async () => 'inner');
        return `outer of ${inner}`;
      });
    },
  },
  'step-nested-same-name': {
    async run(event, step) {
      return await step.do('name', async (outer) => {
        const inner = await step.do('name', async ({ step }) => step.count);
        return [outer.step.count, inner];
      });
    },
  },
  'step-nested-sleep': {
    async run(event, step) {
      return await step.do('outer', async () => {
        await step.sleep('inner', 10);
        return 'slept';
      });
    },
  },
  'step-nested-fails': {
    async run(event, step) {
      return await caught(() =>
        step.do('outer', once, async () => {
          await step.do('inner', once, async () => fail('inner'));
        }),
      );
    },
  },
  'step-parallel': {
    async run(event, step) {
      const [first, second] = [gate(), gate()];
      const one = step.do('one', async () => {
        await first.opened;
        return 1;
      });
      const two = step.do('two', async () => {
        await second.opened;
        return 2;
      });
      const three = step.do('three', async () => 3);
      const seen = [await three];
      second.open();
      seen.push(await two);
      first.open();
      seen.push(await one);
      return seen;
    },
  },
  'step-all': {
    async run(event, step) {
      return await Promise.all([1, 2, 3].map((n) => step.do(`n ${n}`, async () => n * n)));
    },
    unordered: true,
  },
  'step-all-one-fails': {
    async run(event, step) {
      const good = gate();
      const one = step.do('good', async () => {
        await good.opened;
        return 'good';
      });
      const failed = await caught(() => Promise.all([one, step.do('bad', once, async () => fail('bad'))]));
      good.open();
      return { failed, one: await one };
    },
  },
  'step-all-settled': {
    async run(event, step) {
      const last = gate();
      const good = step.do('good', async () => {
        await last.opened;
        return 'good';
      });
      const bad = step.do('bad', once, async () => fail('bad'));
      bad.catch(() => last.open());
      const settled = await Promise.allSettled([good, bad]);
      return settled.map(({ status, value, reason }) => [status, value ?? reason.message]);
    },
  },
  'step-race': {
    async run(event, step) {
      const last = gate();
      const slow = step.do('slow', async () => {
        await last.opened;
        return 'slow';
      });
      const winner = await Promise.race([slow, step.do('quick', async () => 'quick')]);
      last.open();
      return { winner, loser: await slow };
    },
  },
  'step-race-in-step': {
    async run(event, step) {
      return await step.do('race', async () => {
        const never = new Promise(() => {});
        return await Promise.race([never, Promise.resolve('quick')]);
      });
    },
  },
  'step-any': {
    async run(event, step) {
      const first = gate();
      const bad = step.do('bad', once, async () => fail('bad'));
      bad.catch(() => first.open());
      const good = step.do('good', async () => {
        await first.opened;
        return 'good';
      });
      return await Promise.any([bad, good]);
    },
  },
  'step-any-none': {
    async run(event, step) {
      try {
        return await Promise.any([step.do('bad', once, async () => fail('bad'))]);
      } catch ({ name, errors }) {
        return { name, errors: errors.map(String) };
      }
    },
  },
  'step-race-sleep': {
    async run(event, step) {
      const slept = step.sleep('nap', 20).then(() => 'slept');
      const stuck = step.do('stuck', async () => {
        await new Promise(() => {});
      });
      return await Promise.race([slept, stuck]);
    },
  },
  'step-stream-of-steps': {
    async run(event, step) {
      const names = await step.do('list', async () => ['a', 'b', 'c']);
      const done = [];
      for (const name of names) {
        done.push(await step.do(`take ${name}`, async () => name.toUpperCase()));
        await step.sleep(`after ${name}`, 5);
      }
      return done.join('');
    },
  },
  'step-unknown-method': {
    async run(event, step) {
      return { type: typeof step.anything, called: await caught(() => step.anything('x')) };
    },
  },
  'step-methods-detached': {
    async run(event, { do: perform, sleep }) {
      const one = await caught(() => perform('one', async () => 1));
      return { one, slept: await caught(() => sleep('nap', 5)) };
    },
  },
  'step-after-catch': {
    async run(event, step) {
      try {
        await step.do('bad', quick(1), async () => fail('bad'));
      } catch (thrown) {
        return await step.do('instead', async () => `instead of ${thrown.message}`);
      }
    },
  },
  'step-computation-between': {
    async run(event, step, { count }) {
      const seen = [count('outside')];
      await step.do('one', async () => count('inside'));
      seen.push(count('outside'));
      await step.do('two', async () => count('inside'));
      seen.push(count('outside'));
      return seen;
    },
  },
  'step-this': {
    async run(event, step) {
      const { env, ctx } = this;
      return {
        bindings: Object.keys(env).filter((name) => name === 'CASES'),
        waitUntil: typeof ctx.waitUntil,
        entrypoint: this.constructor.name,
      };
    },
  },
  'step-event': {
    async run(event, step, { shown }) {
      return await shown({ keys: Object.keys(event).sort(), ...event });
    },
    async drive(t) {
      await t.create({ a: 1 });
    },
  },
};
