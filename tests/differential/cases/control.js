// What can be done to an instance: pause, resume, terminate, restart, delete, status.

import { each, fail, once, quick } from './common.js';

// An instance that waits for the event `go`.
const waits = async (event, step) => (await step.waitForEvent('w', { type: 'go', timeout: '1 minute' })).payload;

// An instance whose callback runs until it is told to end.
const works = async (event, step, { mark, marks }) => {
  const held = await step.do('hold', async () => {
    mark('works');
    while (!marks.includes('enough')) await new Promise((resolve) => setTimeout(resolve, 10));
    return 'held';
  });
  return await step.do('after', async () => `after ${held}`);
};

async function started(t) {
  await t.create();
  await t.event('wait_started');
  await t.settled();
}

async function working(t) {
  await t.create();
  await t.marked('works');
  await t.settled();
}

async function go(t, payload = 'went') {
  await t.instance().sendEvent({ type: 'go', payload });
}

const enough = (t) => t.marks().push('enough');

// An action on an instance that has ended in this way.
const onEnded = (run, act) => ({
  run,
  async drive(t) {
    await t.create();
    await t.end();
    await t.attempt('act', () => act(t.instance()));
    await t.settled();
    await t.say('status', (await t.instance().status()).status);
  },
});

// An action on an instance that does not exist any more.
const onDeleted = (act) => ({
  async run() {},
  async drive(t) {
    await t.create();
    await t.end();
    await t.attempt('deleted', () => t.instance().delete());
    await t.attempt('act', () => act(t.instance()));
    t.leave();
  },
});

const complete = async () => 'done';
const errored = async (event, step) => step.do('bad', once, async () => fail('bad'));

const actions = {
  pause: (instance) => instance.pause(),
  resume: (instance) => instance.resume(),
  terminate: (instance) => instance.terminate(),
  delete: (instance) => instance.delete(),
  status: (instance) => instance.status(),
  send: (instance) => instance.sendEvent({ type: 'go' }),
  restart: (instance) => instance.restart(),
  'restart-from': (instance) => instance.restart({ from: { name: 'one' } }),
  subscribe: async (instance) => typeof (await instance.subscribe()),
};

const { pause, resume, terminate } = actions;

export default {
  'pause-waiting': {
    run: waits,
    async drive(t) {
      await started(t);
      await t.attempt('pause', () => t.instance().pause());
      await t.status('main', 'paused');
      await t.attempt('resume', () => t.instance().resume());
      await t.settled();
      await go(t);
    },
  },
  'pause-sleeping': {
    async run(event, step) {
      await step.sleep('nap', 4_000);
      return 'slept';
    },
    async drive(t) {
      await t.create();
      await t.event('sleep_started');
      await t.settled();
      await t.instance().pause();
      await t.status('main', 'paused');
      await t.instance().resume();
    },
  },
  'pause-retrying': {
    async run(event, step) {
      return await step.do('flaky', quick(2, { delay: 4_000 }), async ({ attempt }) => (attempt < 2 ? fail('no') : attempt));
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
  'pause-working': {
    run: works,
    async drive(t) {
      await working(t);
      await t.attempt('pause', () => t.instance().pause());
      await t.settled();
      await t.say('while it works', (await t.instance().status()).status);
      enough(t);
      await t.status('main', 'paused');
      await t.instance().resume();
    },
  },
  'pause-then-resume-while-working': {
    run: works,
    async drive(t) {
      await working(t);
      await t.instance().pause();
      await t.settled();
      await t.attempt('resume', () => t.instance().resume());
      await t.settled();
      await t.say('status', (await t.instance().status()).status);
      enough(t);
    },
  },
  'pause-twice': {
    run: waits,
    async drive(t) {
      await started(t);
      await t.instance().pause();
      await t.status('main', 'paused');
      await t.attempt('again', () => t.instance().pause());
      await t.instance().resume();
      await t.settled();
      await go(t);
    },
  },
  'pause-twice-while-working': {
    run: works,
    async drive(t) {
      await working(t);
      await t.instance().pause();
      await t.settled();
      await t.attempt('again', () => t.instance().pause());
      enough(t);
      await t.status('main', 'paused');
      await t.instance().resume();
    },
  },
  'pause-and-event': {
    // An event that comes while it is paused is there afterwards.
    run: waits,
    async drive(t) {
      await started(t);
      await t.instance().pause();
      await t.status('main', 'paused');
      await go(t, 'meanwhile');
      await t.settled();
      await t.say('status', (await t.instance().status()).status);
      await t.instance().resume();
    },
  },
  'pause-last-step': {
    // A pause before run() returns wins.
    async run(event, step, { mark, marks }) {
      return await step.do('hold', async () => {
        mark('works');
        while (!marks.includes('enough')) await new Promise((resolve) => setTimeout(resolve, 10));
        return 'held';
      });
    },
    async drive(t) {
      await working(t);
      await t.instance().pause();
      await t.settled();
      enough(t);
      await t.status('main', 'paused');
      await t.instance().resume();
    },
  },
  'resume-waiting': {
    run: waits,
    async drive(t) {
      await started(t);
      await t.attempt('resume', () => t.instance().resume());
      await go(t);
    },
  },
  'resume-working': {
    run: works,
    async drive(t) {
      await working(t);
      await t.attempt('resume', () => t.instance().resume());
      enough(t);
    },
  },
  'terminate-waiting': {
    run: waits,
    async drive(t) {
      await started(t);
      await t.attempt('terminate', () => t.instance().terminate());
    },
  },
  'terminate-working': {
    run: works,
    async drive(t) {
      await working(t);
      await t.attempt('terminate', () => t.instance().terminate());
      enough(t);
      await t.settled();
    },
  },
  'terminate-paused': {
    run: waits,
    async drive(t) {
      await started(t);
      await t.instance().pause();
      await t.status('main', 'paused');
      await t.attempt('terminate', () => t.instance().terminate());
    },
  },
  'terminate-while-pausing': {
    run: works,
    async drive(t) {
      await working(t);
      await t.instance().pause();
      await t.settled();
      await t.attempt('terminate', () => t.instance().terminate());
      enough(t);
    },
  },
  'terminate-retrying': {
    async run(event, step) {
      return await step.do('bad', { retries: { limit: 3, delay: '1 minute' } }, async () => fail('bad'));
    },
    async drive(t) {
      await t.create();
      await t.event('attempt_errored');
      await t.settled();
      await t.attempt('terminate', () => t.instance().terminate());
    },
  },
  ...each('complete', (act) => onEnded(complete, act), { pause, resume, terminate }),
  ...each('errored', (act) => onEnded(errored, act), { pause, resume, terminate }),
  ...each('deleted', onDeleted, actions),
  'terminated-then': {
    run: waits,
    async drive(t) {
      await started(t);
      await t.instance().terminate();
      await t.status('main', 'terminated');
      for (const name of ['pause', 'resume', 'terminate']) await t.attempt(name, () => actions[name](t.instance()));
      await t.settled();
    },
  },
  'restart-complete': {
    async run(event, step, { count }) {
      return [count('run'), await step.do('one', async () => count('step'))];
    },
    async drive(t) {
      await t.create({ kept: true });
      await t.end();
      await t.attempt('restart', () => t.instance().restart());
      t.restarted();
      await t.event('workflow_completed');
    },
  },
  'restart-errored': {
    async run(event, step, { count }) {
      const n = count('run');
      return await step.do('one', once, async () => (n === 1 ? fail('first') : n));
    },
    async drive(t) {
      await t.create();
      await t.end();
      await t.attempt('restart', () => t.instance().restart());
      t.restarted();
      await t.event('workflow_completed');
    },
  },
  'restart-terminated': {
    run: waits,
    async drive(t) {
      await started(t);
      await t.instance().terminate();
      await t.end();
      await t.attempt('restart', () => t.instance().restart());
      t.restarted();
      await t.event('wait_started');
      await t.settled();
      await go(t);
      await t.event('workflow_completed');
    },
  },
  'restart-waiting': {
    async run(event, step, { count }) {
      const n = count('run');
      await step.do('one', async () => n);
      const { payload } = await step.waitForEvent('w', { type: 'go', timeout: '1 minute' });
      return [n, payload];
    },
    async drive(t) {
      await started(t);
      await t.attempt('restart', () => t.instance().restart());
      t.restarted();
      await t.event('wait_started');
      await t.settled();
      await go(t);
      await t.event('workflow_completed');
    },
  },
  'restart-paused': {
    run: waits,
    async drive(t) {
      await started(t);
      await t.instance().pause();
      await t.status('main', 'paused');
      await t.attempt('restart', () => t.instance().restart());
      t.restarted();
      await t.event('wait_started');
      await t.settled();
      await go(t);
      await t.event('workflow_completed');
    },
  },
  'restart-clears-events': {
    async run(event, step, { count }) {
      const n = count('run');
      if (n === 1) await step.waitForEvent('never', { type: 'never', timeout: '1 minute' });
      return (await step.waitForEvent('w', { type: 'go', timeout: '1 minute' })).payload;
    },
    async drive(t) {
      await started(t);
      await go(t, 'before the restart');
      await t.instance().restart();
      t.restarted();
      await t.event('wait_started');
      await t.settled();
      await go(t, 'after the restart');
      await t.event('workflow_completed');
    },
  },
  'delete-complete': {
    run: complete,
    async drive(t) {
      await t.create();
      await t.end();
      await t.attempt('deleted', () => t.instance().delete());
      await t.attempt('got', () => t.binding.get(t.idOf('main')));
      t.leave();
    },
  },
  'delete-waiting': {
    run: waits,
    async drive(t) {
      await started(t);
      await t.attempt('deleted', () => t.instance().delete());
      await t.attempt('got', () => t.binding.get(t.idOf('main')));
      t.leave();
      t.hide('events');
      t.hide('steps');
    },
  },
  'delete-working': {
    run: works,
    async drive(t) {
      await working(t);
      await t.attempt('deleted', () => t.instance().delete());
      enough(t);
      await t.attempt('status', () => t.instance().status());
      t.leave();
      t.hide('events');
      t.hide('steps');
    },
  },
  'delete-then-create': {
    async run({ payload }) {
      return payload;
    },
    async drive(t) {
      await t.create('first');
      await t.end();
      await t.instance().delete();
      await t.attempt('created', async () => void (await t.create('second')));
    },
  },
  'status-keys': {
    run: waits,
    async drive(t) {
      await started(t);
      await t.say('while it waits', Object.keys(await t.instance().status()).sort());
      await go(t);
      await t.end();
      await t.say('complete', Object.keys(await t.instance().status()).sort());
    },
  },
  'status-while-working': {
    run: works,
    async drive(t) {
      await working(t);
      await t.say('status', await t.instance().status());
      enough(t);
    },
  },
  'status-while-waiting': {
    run: waits,
    async drive(t) {
      await started(t);
      await t.say('status', (await t.instance().status()).status);
      await go(t);
    },
  },
  'status-of-many': {
    async run({ payload }) {
      return payload === 2 ? fail('second') : payload;
    },
    async drive(t) {
      for (const n of [1, 2, 3]) await t.create(n, `number${n}`);
    },
  },
};
