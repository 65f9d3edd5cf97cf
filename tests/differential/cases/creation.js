// create, get, createBatch, deleteBatch.

import { each } from './common.js';

const run = async ({ payload }) => payload;

// create() with these options.
const create = (make) => ({
  run,
  async drive(t) {
    await t.attempt('created', async () => {
      const instance = await t.binding.create(make(t));
      t.watch(instance);
      return instance.id === t.idOf('main') ? 'given id' : instance.id.replace(/[0-9a-f]/g, 'x');
    });
  },
});

// createBatch() with these arguments: who was made, and what else is told.
const batch = (make) => ({
  run,
  async drive(t) {
    await t.attempt('batch', async () => {
      const answer = await t.binding.createBatch(await make(t));
      const created = Array.isArray(answer) ? answer : answer.created;
      created.forEach((instance, i) => t.watch(instance, `made${i}`));
      const known = created.map(({ id }) => (id.includes('_') ? id : id.replace(/[0-9a-f]/g, 'x')));
      return Array.isArray(answer) ? known : { keys: Object.keys(answer).sort(), created: known, errors: answer.errors };
    });
  },
});

const remove = (make) => ({
  run,
  async drive(t) {
    for (const label of ['one', 'two']) {
      await t.create(label, label);
      await t.end(label);
      t.leave(label);
    }
    await t.attempt('removed', async () => t.binding.deleteBatch(make(t)));
    for (const label of ['one', 'two']) await t.attempt(label, async () => typeof (await t.binding.get(t.idOf(label))));
  },
});

const id = (text) => () => ({ id: text });
const retention = (given) => (t) => ({ id: t.idOf('main'), retention: given });

export default {
  ...each('create', create, {
    plain: (t) => ({ id: t.idOf('main') }),
    nothing: () => ({ params: { case: 'create-nothing_main' } }),
    'id-undefined': () => ({ id: undefined, params: { case: 'create-id-undefined_main' } }),
    'id-null': () => ({ id: null, params: { case: 'create-id-null_main' } }),
    'id-number': id(7),
    'id-empty': id(''),
    'id-space': id('two words'),
    'id-dot': id('a.b'),
    'id-slash': id('a/b'),
    'id-unicode': id('größe'),
    'id-leading-dash': id('-a'),
    'id-too-long': id('x'.repeat(101)),
    'id-batch': id('batch'),
    'id-terminate': id('terminate'),
    'id-terminate-all': id('terminateAll'),
    'id-reserved-form': id(`cf_${'0123456789abcdef'.repeat(4)}`),
    'options-null': () => null,
    'options-text': () => 'text',
    'unknown-option': (t) => ({ id: t.idOf('main'), priority: 7 }),
    'params-undefined': (t) => ({ id: t.idOf('main'), params: undefined }),
    'params-text': (t) => ({ id: t.idOf('main'), params: 'text' }),
    'retention-both': retention({ successRetention: '1 day', errorRetention: 3_600_000 }),
    'retention-one': retention({ successRetention: '2 weeks' }),
    'retention-empty': retention({}),
    'retention-bad-text': retention({ successRetention: 'for ever' }),
    'retention-zero': retention({ errorRetention: 0 }),
    'retention-text': retention('1 day'),
    'retention-unknown-key': retention({ success: '1 day' }),
    'retention-years': retention({ successRetention: '100 years' }),
    'location-hint': (t) => ({ id: t.idOf('main'), locationHint: 'weur' }),
    'location-hint-unknown': (t) => ({ id: t.idOf('main'), locationHint: 'moon' }),
  }),
  'create-retention-negative': {
    // One engine makes an instance that is gone at once.
    run,
    async drive(t) {
      await t.attempt('created', async () => void (await t.binding.create(retention({ successRetention: -1 })(t))));
    },
  },
  'create-id-longest': {
    run,
    async drive(t) {
      const id = t.idOf('main');
      t.watch(await t.binding.create({ id: id + 'x'.repeat(100 - id.length) }));
      t.say('made', true);
      t.hide('ids');
    },
  },
  'create-without-options': {
    async run() {
      return 'made without options';
    },
    async drive(t) {
      // It names no case: it fails, which is enough to see that it was made.
      const instance = await t.binding.create();
      t.watch(instance);
      await t.say('id', instance.id.replace(/[0-9a-f]/g, 'x'));
      await t.end();
      t.hide('error');
      t.hide('events');
    },
  },
  'create-twice': {
    run,
    async drive(t) {
      await t.create('first');
      await t.attempt('again', () => t.binding.create({ id: t.idOf('main'), params: 'second' }));
    },
  },
  'create-twice-after-end': {
    run,
    async drive(t) {
      await t.create('first');
      await t.end();
      await t.attempt('again', () => t.binding.create({ id: t.idOf('main'), params: 'second' }));
    },
  },
  'create-twice-at-once': {
    run,
    async drive(t) {
      const both = await Promise.allSettled([1, 2].map((n) => t.binding.create({ id: t.idOf('main'), params: n })));
      t.watch(both.find(({ status }) => status === 'fulfilled').value);
      await t.say('outcomes', both.map(({ status, reason }) => reason?.message ?? status).sort());
      t.hide('output');
      t.hide('events');
      t.hide('listed');
    },
  },
  'create-handle': {
    run,
    async drive(t) {
      const instance = await t.create();
      await t.say('handle', {
        class: instance.constructor.name,
        own: Object.keys(instance).sort(),
        methods: ['status', 'pause', 'resume', 'terminate', 'restart', 'delete', 'sendEvent', 'subscribe'].map(
          (name) => typeof instance[name],
        ),
      });
      await t.say('binding', t.binding.constructor.name);
    },
  },
  'get-known': {
    run,
    async drive(t) {
      await t.create();
      await t.attempt('got', async () => (await t.binding.get(t.idOf('main'))).id);
    },
  },
  ...each('get', (given) => ({ run, drive: (t) => t.attempt('got', () => t.binding.get(given)) }), {
    unknown: 'no-such-instance',
    'bad-id': 'two words',
    empty: '',
    number: 7,
    undefined: undefined,
    'too-long': 'x'.repeat(300),
  }),
  ...each('batch', batch, {
    'array-two': (t) => [{ id: t.idOf('a'), params: 1 }, { id: t.idOf('b') }],
    'array-empty': () => [],
    'array-too-many': () => Array.from({ length: 101 }, (_, i) => ({ id: `many-${i}` })),
    'array-repeated': (t) => [{ id: t.idOf('a'), params: 1 }, { id: t.idOf('a'), params: 2 }],
    'array-bad-id': (t) => [{ id: t.idOf('a') }, { id: 'two words' }],
    'array-reserved-id': (t) => [{ id: t.idOf('a') }, { id: `cf_${'fedcba9876543210'.repeat(4)}` }],
    'array-of-nulls': () => [null],
    'array-without-id': () => [{ params: { case: 'batch-array-without-id_main' } }],
    'array-existing': async (t) => {
      await t.create('first', 'a');
      return [{ id: t.idOf('a'), params: 2 }, { id: t.idOf('b'), params: 3 }];
    },
    'count-two': () => ({ count: 2, params: { case: 'batch-count-two_main' } }),
    'count-zero': () => ({ count: 0 }),
    'count-negative': () => ({ count: -1 }),
    'count-fraction': () => ({ count: 1.5 }),
    'count-text': () => ({ count: '2' }),
    'count-too-many': () => ({ count: 101 }),
    'object-empty': () => ({}),
    'object-both': (t) => ({ count: 1, instances: [{ id: t.idOf('a') }] }),
    'object-unknown-key': (t) => ({ instances: [{ id: t.idOf('a') }], priority: 1 }),
    'instances-two': (t) => ({ instances: [{ id: t.idOf('a'), params: 1 }, { id: t.idOf('b') }] }),
    'instances-empty': () => ({ instances: [] }),
    'instances-too-many': () => ({ instances: Array.from({ length: 101 }, (_, i) => ({ id: `many-${i}` })) }),
    'instances-repeated': (t) => ({ instances: [{ id: t.idOf('a'), params: 1 }, { id: t.idOf('a'), params: 2 }] }),
    'instances-existing': async (t) => {
      await t.create('first', 'a');
      return { instances: [{ id: t.idOf('b') }, { id: t.idOf('a') }] };
    },
    'instances-bad-id': (t) => ({ instances: [{ id: t.idOf('a') }, { id: 'two words' }] }),
    'instances-reserved-id': (t) => ({ instances: [{ id: t.idOf('a') }, { id: 'terminate' }] }),
    'instances-text': () => ({ instances: 'many' }),
    'instances-retention': (t) => ({ instances: [{ id: t.idOf('a'), retention: { successRetention: '1 day' } }] }),
    'instances-bad-retention': (t) => ({ instances: [{ id: t.idOf('a'), retention: { successRetention: 'x' } }] }),
    'instances-bad-location': (t) => ({ instances: [{ id: t.idOf('a'), locationHint: 'moon' }] }),
    text: () => 'many',
    null: () => null,
  }),
  ...each('remove', remove, {
    both: (t) => [t.idOf('one'), t.idOf('two')],
    repeated: (t) => [t.idOf('one'), t.idOf('one')],
    unknown: (t) => [t.idOf('one'), 'no-such-instance'],
    'bad-id': (t) => [t.idOf('one'), 'a?b'],
    'not-text': (t) => [t.idOf('one'), 7],
    empty: () => [],
    'too-many': () => Array.from({ length: 101 }, (_, i) => `many-${i}`),
    text: (t) => t.idOf('one'),
    undefined: () => undefined,
  }),
};
