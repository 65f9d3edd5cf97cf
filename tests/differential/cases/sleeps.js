// Sleeps and durations.

import { caught, each, stopIfStuck } from './common.js';

const sleeps = (duration) => ({
  async run(event, step) {
    return await caught(() => step.sleep('nap', duration));
  },
  drive: stopIfStuck,
});

const until = (make) => ({
  async run(event, step) {
    return await caught(() => step.sleepUntil('nap', make()));
  },
  drive: stopIfStuck,
  roughly: true,
});

const HOUR = 3_600_000;

export default {
  ...each('sleep', sleeps, {
    number: 10,
    zero: 0,
    fraction: 10.5,
    'text-second': '1 second',
    'text-fraction': '0.02 seconds',
    milliseconds: '20 milliseconds',
    'zero-text': '0 seconds',
    'number-text': '20',
    negative: -1000,
    'negative-text': '-1 second',
    'not-a-number': NaN,
    infinite: Infinity,
    undefined: undefined,
    null: null,
    boolean: true,
    object: {},
    empty: '',
    abbreviated: '1s',
    'unknown-unit': '5 lightyears',
    words: 'a while',
    date: new Date(0),
  }),
  ...each('sleep-long', sleeps, {
    minute: '1 minute',
    minutes: '2 minutes',
    hour: '1 hour',
    hours: '1.5 hours',
    day: '1 day',
    week: '1 week',
    month: '1 month',
    year: '1 year',
    'no-space': '1hour',
    'two-spaces': '1  hour',
    'upper-case': '1 Hour',
    '366-days': '366 days',
    'two-years': '2 years',
    'most-millis': 365 * 24 * HOUR,
    'number-hour': HOUR,
  }),
  ...each('sleep-until', until, {
    soon: () => new Date(Date.now() + 150),
    'soon-number': () => Date.now() + 150,
    past: () => new Date(Date.now() - HOUR),
    'past-number': () => 0,
    'invalid-date': () => new Date('never'),
    text: () => '2099-01-01T00:00:00Z',
    undefined: () => undefined,
  }),
  'sleep-until-later': {
    roughly: true,
    async run(event, step) {
      await step.sleepUntil('nap', new Date(Date.now() + HOUR));
    },
    async drive(t) {
      await t.create();
      await t.event('sleep_started');
      await t.settled();
      await t.say('status', (await t.instance().status()).status);
      await t.instance().terminate();
    },
  },
  'sleep-same-name': {
    async run(event, step) {
      await step.sleep('nap', 10);
      await step.sleep('nap', 10);
    },
  },
  'sleep-same-name-other-duration': {
    async run(event, step) {
      await step.sleep('nap', 10);
      await step.sleep('nap', 20);
    },
  },
  'sleep-and-until-same-name': {
    roughly: true,
    async run(event, step) {
      await step.sleep('nap', 10);
      await step.sleepUntil('nap', Date.now() + 150);
    },
  },
  'sleep-result': {
    roughly: true,
    async run(event, step) {
      return [typeof (await step.sleep('nap', 5)), typeof (await step.sleepUntil('later', Date.now() + 100))];
    },
  },
  'sleep-parallel': {
    async run(event, step) {
      const order = [];
      await Promise.all([
        step.sleep('long', 300).then(() => order.push('long')),
        step.sleep('short', 20).then(() => order.push('short')),
      ]);
      return order;
    },
  },
  'sleep-beside-step': {
    async run(event, step) {
      const nap = step.sleep('nap', 200);
      const one = await step.do('one', async () => 1);
      await nap;
      return one;
    },
  },
};
