// subscribe(): history, live events, filters and cursors.

import { pause } from '../kit.js';
import { each } from './common.js';

// Never waits, so that all engines number the same events. The last step goes on when it is told to.
async function run(event, step, { mark, marks }) {
  await step.do('one', async () => 1);
  return await step.do('hold', async () => {
    mark('works');
    while (!marks.includes('enough')) await pause(10);
    return 2;
  });
}

// Everything that a subscription gives until it ends.
async function all(instance, options) {
  const subscription = await instance.subscribe(options);
  const seen = [];
  for (;;) {
    const { done, value } = await subscription.next();
    if (done) return seen;
    seen.push(`${value.eventId} ${value.type}`);
  }
}

async function ended(t) {
  await t.create();
  await t.marked('works');
  t.marks().push('enough');
  await t.end();
}

// A subscription with these options to an instance that has ended.
const after = (options) => ({
  run,
  async drive(t) {
    await ended(t);
    await t.attempt('seen', () => all(t.instance(), options));
  },
});

export default {
  ...each('subscribe', after, {
    all: undefined,
    'no-options': {},
    cursor: { cursor: 5 },
    'cursor-zero': { cursor: 0 },
    'cursor-beyond': { cursor: 1000 },
    'cursor-negative': { cursor: -1 },
    'cursor-fraction': { cursor: 1.5 },
    'cursor-text': { cursor: '5' },
    'cursor-null': { cursor: null },
    filter: { filter: ['step_started', 'step_completed'] },
    'filter-empty': { filter: [] },
    'filter-unknown': { filter: ['step_begun'] },
    'filter-text': { filter: 'step_started' },
    'filter-and-cursor': { filter: ['attempt_started'], cursor: 6 },
    'unknown-key': { types: ['step_started'] },
    null: null,
    text: 'all',
  }),
  'subscribe-live': {
    run,
    async drive(t) {
      await t.create();
      const seen = all(t.instance(), { filter: ['step_started', 'step_completed', 'workflow_completed'] });
      await t.marked('works');
      await t.settled();
      t.marks().push('enough');
      await t.attempt('seen', () => seen);
    },
  },
  'subscribe-ends-though-filtered': {
    run,
    async drive(t) {
      await t.create();
      const seen = all(t.instance(), { filter: ['step_started'] });
      await t.marked('works');
      await t.settled();
      t.marks().push('enough');
      await t.attempt('seen', () => seen);
    },
  },
  'subscribe-twice': {
    run,
    async drive(t) {
      await t.create();
      const both = [1, 2].map(() => all(t.instance(), { filter: ['step_completed', 'workflow_completed'] }));
      await t.marked('works');
      await t.settled();
      t.marks().push('enough');
      await t.attempt('seen', () => Promise.all(both));
    },
  },
  'subscribe-terminated': {
    run,
    async drive(t) {
      await t.create();
      const seen = all(t.instance(), { filter: ['step_started', 'workflow_terminated'] });
      seen.catch(() => {});
      await t.marked('works');
      await t.settled();
      await t.instance().terminate();
      t.marks().push('enough');
      await t.attempt('seen', () => seen);
    },
  },
  'subscribe-deleted': {
    run,
    async drive(t) {
      await t.create();
      const seen = all(t.instance(), { filter: ['step_started'] });
      seen.catch(() => {});
      await t.marked('works');
      await t.settled();
      await t.instance().delete();
      t.marks().push('enough');
      await t.attempt('seen', () => seen);
      t.leave();
      t.hide('events');
      t.hide('steps');
    },
  },
  'subscribe-across-restart': {
    // The ids of events go on after a restart.
    async run(event, step) {
      return await step.do('one', async () => 1);
    },
    async drive(t) {
      await t.create();
      await t.end();
      await t.instance().restart();
      t.restarted();
      await t.event('workflow_completed');
      await t.attempt('seen', () => all(t.instance()));
    },
  },
  'subscribe-envelope': {
    run,
    async drive(t) {
      await ended(t);
      const subscription = await t.instance().subscribe();
      const first = await subscription.next();
      await t.say('first', {
        keys: Object.keys(first).sort(),
        value: Object.keys(first.value).sort(),
        isInstance: first.value.instanceId === t.instance().id,
        timestamp: typeof first.value.timestamp,
      });
      await t.say('subscription', { class: subscription.constructor.name, next: typeof subscription.next });
    },
  },
};
