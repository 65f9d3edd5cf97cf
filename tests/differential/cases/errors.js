// What is thrown in a step or by run(), and what becomes of it.

import { NonRetryableError } from 'cloudflare:workflows';
import { caught, each, fail, once, quick } from './common.js';

class CustomError extends Error {
  constructor(message) {
    super(message);
    this.name = 'CustomError';
    this.code = 42;
  }
}

class Unnamed extends Error {}

class Final extends NonRetryableError {}

const kinds = {
  error: () => new Error('plain'),
  'type-error': () => new TypeError('typed'),
  'range-error': () => new RangeError('ranged'),
  'syntax-error': () => new SyntaxError('syntax'),
  'aggregate-error': () => new AggregateError([new Error('one'), new Error('two')], 'both'),
  'dom-exception': () => new DOMException('aborted', 'AbortError'),
  'dom-exception-other': () => new DOMException('gone', 'NotFoundError'),
  custom: () => new CustomError('custom'),
  subclass: () => new Unnamed('a subclass'),
  renamed: () => Object.assign(new Error('renamed'), { name: 'Renamed' }),
  'renamed-as-built-in': () => Object.assign(new Error('renamed'), { name: 'TypeError' }),
  'with-cause': () => new Error('effect', { cause: new TypeError('cause') }),
  'with-properties': () => Object.assign(new Error('decorated'), { status: 503, retryable: true }),
  'empty-message': () => new Error(''),
  'empty-name': () => Object.assign(new Error('nameless'), { name: '' }),
  'message-with-colon': () => new Error('Prefix: rest'),
  'long-message': () => new Error('x'.repeat(5_000)),
  unicode: () => new Error('Grüße 🌍'),
  text: () => 'just text',
  number: () => 42,
  nothing: () => undefined,
  null: () => null,
  object: () => ({ code: 7 }),
};

// Thrown in a step: seen in run(), then thrown on.
const inStep = (make) => ({
  async run(event, step, { mark }) {
    try {
      await step.do('bad', once, async () => {
        throw make();
      });
    } catch (thrown) {
      mark(JSON.stringify(await caught(() => Promise.reject(thrown))));
      throw thrown;
    }
  },
});

// Thrown by run() itself.
const outside = (make) => ({
  async run() {
    throw make();
  },
});

// Thrown in a step with retries, not to be retried. What is said of it depends on the compatibility date.
const final = (make) => ({
  dated: true,
  async run(event, step, { mark, count }) {
    try {
      await step.do('bad', quick(1), async () => {
        count('attempt');
        throw make();
      });
    } catch (thrown) {
      mark(JSON.stringify(await caught(() => Promise.reject(thrown))));
      throw thrown;
    }
  },
});

const finals = {
  plain: () => new NonRetryableError('enough'),
  'no-message': () => new NonRetryableError(''),
  named: () => new NonRetryableError('enough', 'Custom'),
  subclass: () => new Final('enough'),
  'by-name': () => Object.assign(new Error('enough'), { name: 'NonRetryableError' }),
  'by-message': () => new Error('NonRetryableError: enough'),
  'by-start-of-message': () => new Error('NonRetryableErrors are final'),
  'in-message': () => new Error('not a NonRetryableError'),
};

export default {
  ...each('error-in-step', inStep, kinds),
  ...each('error-in-run', outside, kinds),
  ...each('final-in-step', final, finals),
  ...each('final-in-run', outside, { plain: finals.plain, named: finals.named, 'by-name': finals['by-name'] }),
  'final-caught': {
    async run(event, step) {
      const first = await caught(() =>
        step.do('bad', quick(3), async () => {
          throw new NonRetryableError('enough');
        }),
      );
      return { first, second: await step.do('good', async () => 'goes on') };
    },
  },
  'final-on-second-attempt': {
    async run(event, step) {
      return await step.do('bad', quick(5), async ({ attempt }) => {
        if (attempt === 1) fail('try again');
        throw new NonRetryableError('enough');
      });
    },
  },
  'final-nested': {
    async run(event, step) {
      return await step.do('outer', quick(1), async () => {
        await step.do('inner', quick(1), async () => {
          throw new NonRetryableError('enough');
        });
      });
    },
  },
  'error-in-catch': {
    async run(event, step) {
      try {
        await step.do('bad', once, async () => fail('first'));
      } catch {
        await step.do('worse', once, async () => fail('second'));
      }
    },
  },
  'error-wrapped': {
    async run(event, step) {
      try {
        await step.do('bad', once, async () => fail('inner'));
      } catch (thrown) {
        throw new Error(`wrapped: ${thrown.message}`, { cause: thrown });
      }
    },
  },
  'error-finally': {
    async run(event, step) {
      try {
        await step.do('bad', once, async () => fail('failed'));
      } finally {
        await step.do('clean up', async () => 'clean');
      }
    },
  },
  'error-not-a-promise': {
    run() {
      throw new Error('at once');
    },
  },
  'error-synchronous-in-step': {
    async run(event, step) {
      return await caught(() =>
        step.do('bad', once, () => {
          throw new Error('at once');
        }),
      );
    },
  },
  'error-own-properties': {
    async run(event, step) {
      try {
        await step.do('bad', once, async () => fail());
      } catch (thrown) {
        return { own: Object.getOwnPropertyNames(thrown).sort(), enumerable: Object.keys(thrown).sort() };
      }
    },
  },
  'error-stack': {
    async run(event, step) {
      try {
        await step.do('bad', once, async () => fail('with a stack'));
      } catch ({ stack }) {
        return { type: typeof stack, first: stack.split('\n')[0] };
      }
    },
  },
  'error-in-sleeping-parallel': {
    async run(event, step) {
      await Promise.all([step.sleep('long', '1 hour'), step.do('bad', once, async () => fail('bad'))]);
    },
    async drive(t) {
      await t.create();
      await t.settled();
      const { status } = await t.instance().status();
      await t.say('status', status);
      if (status !== 'errored') await t.instance().terminate();
    },
  },
};
