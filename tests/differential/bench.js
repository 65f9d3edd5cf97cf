// The test bench of one case: makes instances, does things to them, waits, and keeps what there was to see.

import { marksOf, pause } from './kit.js';
import { error, render } from './render.js';

const FINAL = ['complete', 'errored', 'terminated'];
const PATIENCE_MILLIS = 25_000;
const POLL_MILLIS = 20;
const QUIET_MILLIS = 250;
const REST_MILLIS = 1_500;
const ATTEMPTS = 3;

// The events of one instance, read as they come.
class Watch {
  events = [];
  failed = null;
  #instance;

  constructor(instance) {
    this.#instance = instance;
    this.again();
  }

  // Reads what there is after a restart: a subscription ends with the instance, and what it told of may be gone.
  again() {
    this.events = [];
    this.reading = this.#read(this.events);
  }

  // A subscription that breaks is taken up where it broke: a case about subscriptions looks at that more closely.
  async #read(events) {
    for (let broken = 0; broken < ATTEMPTS; broken++) {
      try {
        await this.#follow(events);
        this.failed = null;
        return;
      } catch (thrown) {
        this.failed = thrown;
        await pause(POLL_MILLIS * 5);
      }
    }
  }

  async #follow(events) {
    const subscription = await this.#instance.subscribe({ cursor: events.at(-1)?.eventId ?? 0 });
    while (events === this.events) {
      const { done, value } = await subscription.next();
      if (done) return;
      events.push(value);
    }
  }
}

// A duration until a point in time that user code has computed.
const roughly = (millis) => (millis < 1000 ? 'short' : `${Math.round(millis / 60_000)} minutes`);

// The steps that events tell of, in the order of their first event: what a list of steps shows.
function stepsOf(events) {
  const steps = new Map();
  for (const event of events) {
    if (event.stepName === undefined) continue;
    const kind = event.type.startsWith('rollback') ? 'rollback' : event.type.split('_')[0].replace('attempt', 'step');
    const key = `${kind} ${event.stepName}`;
    const step = steps.get(key) ?? { type: kind, name: event.stepName, outcome: 'open' };
    if (event.attempt !== undefined) step.attempts = event.attempt;
    if (/^(step|sleep|wait|rollback_step)_(completed|errored|timed_out)$/.test(event.type)) {
      step.outcome = event.type.replace(/^(step|sleep|wait|rollback_step)_/, '');
    }
    steps.set(key, step);
  }
  return [...steps.values()];
}

export class Bench {
  #name;
  #nonce;
  #labels = new Map();
  #said = {};
  #roughly;
  #hidden = [];

  constructor(name, { roughly = false }, nonce, env, ctx) {
    this.#name = name;
    this.#nonce = nonce;
    this.#roughly = roughly;
    this.env = env;
    this.ctx = ctx;
    this.binding = env.CASES;
  }

  async run({ drive }) {
    if (drive === undefined) await this.create();
    else await drive(this);
    for (const [label, known] of this.#labels) if (!known.left) await this.end(label);
    return this.result();
  }

  async before({ before }) {
    await before(this);
    return {};
  }

  async after({ after }) {
    this.hide('marks');
    await after(this);
    return this.result();
  }

  // Takes up an instance that was made before the engine was killed.
  async found(label = 'main') {
    return this.watch(await this.binding.get(this.idOf(label)), label);
  }

  idOf(label) {
    return `${this.#name}_${label}_${this.#nonce}`;
  }

  // Makes an instance; its label names it in everything that follows.
  async create(params, label = 'main', options = {}) {
    const id = this.idOf(label);
    const instance = await this.binding.create({ id, ...(params === undefined ? {} : { params }), ...options });
    return this.watch(instance, label);
  }

  // The same in another workflow, whose binding has this name.
  async createIn(binding, label = 'main') {
    const instance = await this.env[binding].create({ id: this.idOf(label) });
    return this.watch(instance, label, binding);
  }

  // Takes notice of an instance.
  watch(instance, label = 'main', binding = 'CASES') {
    this.#labels.set(label, { instance, watch: new Watch(instance), left: false, workflow: binding.toLowerCase() });
    return instance;
  }

  instance(label = 'main') {
    return this.#labels.get(label).instance;
  }

  // Leaves something out of the result that is too much to compare.
  hide(field) {
    this.#hidden.push(field);
  }

  // Does not wait for its end.
  leave(label = 'main') {
    this.#labels.get(label).left = true;
  }

  marks(label = 'main') {
    return marksOf(this.instance(label).id);
  }

  // Keeps a value under a name.
  async say(name, value) {
    this.#said[name] = await render(value);
  }

  // Keeps what comes of a call.
  async attempt(name, call) {
    try {
      this.#said[name] = { returned: await render(await call()) };
    } catch (thrown) {
      this.#said[name] = { threw: await error(thrown) };
    }
    return this.#said[name];
  }

  // Looks until something is so.
  async until(what, look) {
    const deadline = Date.now() + PATIENCE_MILLIS;
    for (;;) {
      const found = await look();
      if (found) return found;
      if (Date.now() > deadline) throw new Error(`it did not come: ${what}`);
      await pause(POLL_MILLIS);
    }
  }

  marked(text, label = 'main') {
    return this.until(`the mark ${text}`, () => this.marks(label).includes(text));
  }

  // Until the nth event of a type is there.
  event(type, label = 'main', nth = 1) {
    const { watch } = this.#labels.get(label);
    return this.until(`event ${type}`, async () => {
      if (watch.failed !== null) return pause(400).then(() => true);
      return watch.events.filter((event) => event.type === type).length >= nth;
    });
  }

  // Until nothing happens any more: no new event for a while.
  async settled(label = 'main') {
    const { watch } = this.#labels.get(label);
    for (let seen = -1; seen !== watch.events.length; await pause(QUIET_MILLIS)) seen = watch.events.length;
  }

  // Its status once it has ended, or once nothing has happened for longer than anything in it may take.
  async quiet(label = 'main') {
    const { instance, watch } = this.#labels.get(label);
    let [events, since] = [-1, 0];
    return this.until('rest', async () => {
      const { status } = await instance.status();
      if (FINAL.includes(status)) {
        await this.#read(watch);
        return status;
      }
      if (events !== watch.events.length) [events, since] = [watch.events.length, Date.now()];
      return Date.now() - since > REST_MILLIS && status;
    });
  }

  // Ends it by force when it does not end by itself.
  async stopIfStuck(label = 'main') {
    const status = await this.quiet(label);
    await this.say('came to rest as', status);
    if (FINAL.includes(status)) return;
    await this.instance(label).terminate();
  }

  status(label, ...wanted) {
    const instance = this.instance(label);
    return this.until(`status ${wanted}`, async () => wanted.includes((await instance.status()).status));
  }

  // Until it has ended, and all its events are there.
  async end(label = 'main') {
    await this.status(label, ...FINAL);
    await this.#read(this.#labels.get(label).watch);
  }

  // Its last events come after its last status.
  #read({ reading }) {
    return Promise.race([reading, pause(2_000)]);
  }

  restarted(label = 'main') {
    this.#labels.get(label).watch.again();
  }

  async result() {
    const instances = {};
    for (const [label, { instance, watch }] of this.#labels) {
      instances[label] = { ...(await this.#final(instance)), marks: marksOf(instance.id), ...(await this.#seen(watch)) };
      for (const field of this.#hidden) delete instances[label][field];
    }
    const ids = {};
    for (const [label, { instance, workflow }] of this.#labels) ids[label] = { workflow, id: instance.id };
    return { ...this.#anonymous({ said: this.#said, instances }), ids };
  }

  async #final(instance) {
    try {
      const { __LOCAL_DEV_STEP_OUTPUTS: _, ...status } = await instance.status();
      const final = {};
      for (const key of Object.keys(status)) if (status[key] !== undefined) final[key] = await render(status[key]);
      return final;
    } catch (thrown) {
      return { status: { threw: await error(thrown) } };
    }
  }

  async #seen({ events, failed }) {
    if (failed !== null) return { subscribe: { threw: await error(failed) } };
    const shown = [];
    for (const { instanceId, eventId, timestamp, ...event } of events) {
      if (this.#roughly && typeof event.durationMs === 'number') event.durationMs = roughly(event.durationMs);
      // Nobody can tell whether what is undefined has a key.
      for (const key of Object.keys(event)) if (event[key] === undefined) delete event[key];
      shown.push(await render(event));
    }
    const [{ eventId: first = 0 } = {}] = events;
    const consecutive = events.every(({ eventId }, i) => eventId === first + i);
    const numbers = consecutive ? `from ${first === 1 ? 'one' : 'later'}` : 'with gaps';
    return { events: shown, numbers, steps: stepsOf(events) };
  }

  // Ids without their numbers.
  #anonymous(result) {
    return JSON.parse(JSON.stringify(result).replaceAll(`_${this.#nonce}`, '_'));
  }
}
