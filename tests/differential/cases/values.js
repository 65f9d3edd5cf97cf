// Values: results of steps, parameters, outputs, streams.

import { pause } from '../kit.js';
import { caught, each, once, quick } from './common.js';

class Thing {
  constructor() {
    this.field = 1;
  }
}

function circle() {
  const value = { name: 'circle' };
  value.self = value;
  return value;
}

function shared() {
  const part = { n: 1 };
  return { one: part, two: part };
}

const cloneable = {
  undefined: () => undefined,
  null: () => null,
  'undefined-property': () => ({ a: undefined, b: 1 }),
  'not-a-number': () => NaN,
  infinite: () => -Infinity,
  'minus-zero': () => -0,
  bigint: () => 2n ** 80n,
  date: () => new Date(86_400_000),
  'invalid-date': () => new Date(NaN),
  regexp: () => /a+b/gi,
  map: () => new Map([['a', 1], [{ k: 1 }, new Map([[1, 2]])]]),
  set: () => new Set([1, 'a', new Set([2])]),
  bytes: () => new Uint8Array([0, 127, 255]),
  'bytes-of-a-part': () => new Uint8Array([1, 2, 3, 4, 5]).subarray(1, 3),
  floats: () => new Float64Array([0.5, NaN, -0]),
  'big-integers': () => new BigInt64Array([1n, -1n]),
  buffer: () => new Uint8Array([1, 2, 3]).buffer,
  view: () => new DataView(new Uint8Array([1, 2, 3]).buffer, 1),
  'sparse-array': () => [1, , 3],
  'boxed-number': () => new Number(7),
  'boxed-text': () => new String('boxed'),
  'boxed-boolean': () => new Boolean(false),
  error: () => new RangeError('an error as a value'),
  'error-with-cause': () => new Error('outer', { cause: { code: 5 } }),
  'error-with-properties': () => Object.assign(new Error('outer'), { code: 5 }),
  'lone-surrogate': () => 'a\ud800b',
  unicode: () => 'Grüße 🌍 \u0000 \u2028',
  'long-text': () => 'x'.repeat(200_000),
  'empty-object': () => ({}),
  'no-prototype': () => Object.assign(Object.create(null), { a: 1 }),
  'prototype-key': () => JSON.parse('{"__proto__": {"a": 1}, "constructor": 2}'),
  'integer-keys': () => ({ 2: 'b', 1: 'a', z: 'c' }),
  circular: circle,
  shared,
  nested: () => ({ list: [{ map: new Map([['d', new Date(0)]]) }], deep: { deeper: { deepest: [1n] } } }),
  'deep-array': () => {
    let value = [];
    for (let i = 0; i < 100; i++) value = [value];
    return value;
  },
  getter: () => ({
    get a() {
      return 1;
    },
  }),
};

const others = {
  function: () => () => 1,
  'function-inside': () => ({ call() {} }),
  symbol: () => Symbol('s'),
  'symbol-inside': () => ({ s: Symbol('s') }),
  'symbol-key': () => ({ [Symbol('s')]: 1, a: 1 }),
  'class-instance': () => new Thing(),
  'class-instance-inside': () => ({ list: [new Thing()] }),
  'promise-inside': () => ({ later: Promise.resolve(1) }),
  proxy: () => new Proxy({ a: 1 }, {}),
  'weak-map': () => new WeakMap(),
  response: () => new Response('body'),
  request: () => new Request('https://example.com/'),
  headers: () => new Headers({ a: 'b' }),
  url: () => new URL('https://example.com/'),
  blob: () => new Blob(['blob']),
  'abort-signal': () => new AbortController().signal,
  crypto: () => crypto.getRandomValues,
};

// The result of a step, as run() sees it.
const result = (make) => ({
  async run(event, step, { shown }) {
    return { seen: await caught(() => step.do('value', once, async () => make())), again: await shown(1) };
  },
});

// What run() returns.
const output = (make) => ({
  async run() {
    return make();
  },
});

// Parameters, as run() sees them.
const params = (make) => ({
  async run({ payload }, step, { shown }) {
    return await shown(payload);
  },
  async drive(t) {
    const created = await t.attempt('created', async () => void (await t.create(make())));
    if (created.threw) return;
    // One engine accepts what it then cannot begin with.
    await t.say('came to rest as', await t.quiet());
    t.leave();
  },
});

const bytes = (text) => new TextEncoder().encode(text);

function stream(...chunks) {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

// A stream as the result of a step.
const streamed = (make) => ({
  async run(event, step) {
    return await caught(() => step.do('stream', once, async () => make()));
  },
});

const streams = {
  text: () => stream(bytes('hello '), bytes('world')),
  empty: () => stream(),
  binary: () => stream(new Uint8Array([0, 255, 1])),
  buffer: () => stream(bytes('buffer').buffer),
  floats: () => stream(new Float32Array([1, 2])),
  long: () => stream(new Uint8Array(700_000).fill(97)),
  'many-chunks': () => stream(...Array.from({ length: 100 }, (_, i) => bytes(`${i},`))),
  'of-response': () => new Response('a body').body,
  'of-blob': () => new Blob(['a blob']).stream(),
  'byte-stream': () =>
    new ReadableStream({
      type: 'bytes',
      start(controller) {
        controller.enqueue(bytes('byte stream'));
        controller.close();
      },
    }),
  'of-text-chunks': () => stream('text'),
  'of-objects': () => stream({ a: 1 }),
  'of-views': () => stream(new DataView(bytes('view').buffer)),
  locked: () => {
    const locked = stream(bytes('locked'));
    locked.getReader();
    return locked;
  },
  failing: () =>
    new ReadableStream({
      pull(controller) {
        controller.error(new Error('broken pipe'));
      },
    }),
  inside: () => ({ stream: stream(bytes('inside')) }),
  'huge-chunk': () => stream(new Uint8Array(17 * 1024 * 1024)),
};

export default {
  ...each('result', result, { ...cloneable, ...others }),
  ...each('output', output, { ...cloneable, ...others }),
  ...each('params', params, { ...cloneable, ...others }),
  ...each('stream', streamed, streams),
  'params-absent': {
    async run({ payload }) {
      return payload;
    },
    async drive(t) {
      t.watch(await t.binding.create({ id: t.idOf('main') }));
    },
  },
  'result-too-large': {
    async run(event, step) {
      const { threw } = await caught(() => step.do('large', once, async () => 'x'.repeat(1024 * 1024 + 1)));
      return threw ?? 'accepted';
    },
  },
  'result-just-fits': {
    async run(event, step) {
      return (await step.do('large', once, async () => 'x'.repeat(1024 * 1024 - 100))).length;
    },
  },
  'output-too-large': {
    async run() {
      return 'x'.repeat(1024 * 1024 + 1);
    },
    drive: async (t) => {
      await t.create();
      await t.end();
      await t.say('length', (await t.instance().status()).output?.length ?? null);
      t.hide('output');
    },
  },
  'event-too-large': {
    async run(event, step) {
      const { payload } = await step.waitForEvent('w', { type: 'go', timeout: '1 minute' });
      return payload.length;
    },
    async drive(t) {
      await t.create();
      await t.event('wait_started');
      const sent = await t.attempt('sent', () =>
        t.instance().sendEvent({ type: 'go', payload: 'x'.repeat(1024 * 1024 + 1) }),
      );
      if (sent.threw) await t.instance().terminate();
    },
  },
  'params-too-large': {
    async run({ payload }) {
      return payload.length;
    },
    async drive(t) {
      await t.attempt('created', async () => void (await t.create('x'.repeat(1024 * 1024 + 1))));
      t.hide('events');
    },
  },
  'result-mutated': {
    async run(event, step) {
      const value = await step.do('value', async () => ({ list: [1] }));
      value.list.push(2);
      return await step.do('after', async () => value.list.length);
    },
  },
  'result-and-captured-value': {
    async run(event, step) {
      const kept = { n: 1 };
      const value = await step.do('value', async () => kept);
      return { same: value === kept, equal: value.n === kept.n };
    },
  },
  sensitive: {
    async run(event, step) {
      const secret = await step.do('secret', { sensitive: 'output' }, async () => ({ token: 'abc' }));
      return secret.token.length;
    },
  },
  'sensitive-error': {
    async run(event, step) {
      return await caught(() =>
        step.do('secret', { ...once, sensitive: 'output' }, async () => {
          throw new Error('abc');
        }),
      );
    },
  },
  'stream-read-twice': {
    async run(event, step) {
      const one = await step.do('stream', async () => stream(bytes('once')));
      const first = await new Response(one).text();
      return [first, await caught(async () => await new Response(one).text())];
    },
  },
  'stream-unread': {
    async run(event, step) {
      const one = await step.do('stream', async () => stream(bytes('unread')));
      return one instanceof ReadableStream;
    },
  },
  'stream-tee': {
    async run(event, step) {
      const [one, two] = (await step.do('stream', async () => stream(bytes('tee')))).tee();
      return [await new Response(one).text(), await new Response(two).text()];
    },
  },
  'stream-into-step': {
    async run(event, step) {
      const one = await step.do('stream', async () => stream(bytes('from one to the other')));
      return await step.do('read', async () => new Response(one).text());
    },
  },
  'stream-as-output': {
    async run(event, step) {
      return await step.do('stream', async () => stream(bytes('output')));
    },
  },
  'stream-sensitive': {
    async run(event, step) {
      const one = await step.do('stream', { sensitive: 'output' }, async () => stream(bytes('secret')));
      return await new Response(one).text();
    },
  },
  'stream-retried': {
    async run(event, step) {
      const one = await step.do('stream', quick(1), async ({ attempt }) => {
        if (attempt === 1) throw new Error('not yet');
        return stream(bytes('second'));
      });
      return await new Response(one).text();
    },
  },
  'stream-slow': {
    async run(event, step) {
      const one = await step.do('stream', async () => {
        let n = 0;
        return new ReadableStream({
          async pull(controller) {
            await pause(20);
            controller.enqueue(bytes(`${n}`));
            if (++n === 5) controller.close();
          },
        });
      });
      return await new Response(one).text();
    },
  },
  'stream-timeout': {
    async run(event, step) {
      return await caught(() =>
        step.do('stream', { ...once, timeout: 200 }, async () => new ReadableStream({ pull: () => pause(60_000) })),
      );
    },
  },
};
