// One run of one instance: begins when its history is there, ends when `run()` returns or throws, or when it is stopped.

import { WorkflowEntrypoint } from 'cloudflare:workers';
import { callOf, describe, typeError } from './errors.js';
import { DateRef, getPrototypeOf, OwnMap, quote, setTimeout, stringify } from './primordials.js';
import { enter } from './scope.js';
import { newStep } from './step.js';
import { missing } from './undo.js';
import { decode, encode, Unserialisable } from './value.js';

// How long user code outside of steps may take to register its rollback handlers again.
const REBUILD_MILLIS = 30_000;

// Words of known steps, in the order of the numbers that kinds of calls have.
const HISTORIES = ['do', 'sleep', 'wait'];

export const isWorkflow = (value) => {
  for (let at = value; typeof at === 'function'; at = getPrototypeOf(at)) {
    if (at === WorkflowEntrypoint) return value !== WorkflowEntrypoint;
  }
  return false;
};

export class Run {
  calls = 0;
  steps = 0;
  held = false;
  ended = false;
  // `run()` has thrown: only rollback handlers are called from now on.
  over = false;
  // Rollback handlers by count and name of their step.
  undos = new OwnMap();
  #rebuilt = false;
  // Calls that have not settled, by their number.
  open = new OwnMap();
  #known = new OwnMap();
  #counts = [new OwnMap(), new OwnMap(), new OwnMap()];
  #connection;
  #info;
  #payload;

  // From a `start` message.
  constructor(connection, [, id, info, form, body]) {
    this.#connection = connection;
    this.streams = connection.streams;
    this.id = id;
    this.limit = info.steps;
    this.className = info.class;
    // Whether it is there for its rollback handlers only.
    this.rebuilding = info.rollback === true;
    this.held = info.held === true;
    this.#info = info;
    this.#payload = [form, body];
  }

  learn(steps) {
    for (let i = 0; i < steps.length; i++) {
      const [kind, name, count] = steps[i];
      this.#known.set(`${kind} ${count} ${name}`, steps[i]);
    }
  }

  recall(kind, name, count) {
    return this.#known.size === 0 ? undefined : this.#take(`${HISTORIES[kind.index]} ${count} ${name}`);
  }

  #take(key) {
    const known = this.#known.get(key);
    this.#known.delete(key);
    return known;
  }

  count(kind, name) {
    const counts = this.#counts[kind.index];
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    return count;
  }

  // A call that was refused leaves its count to the next one of its name.
  uncount({ kind, name, count }) {
    const counts = this.#counts[kind.index];
    if (counts.get(name) === count) counts.set(name, count - 1);
    if (kind.index === 0) this.steps--;
  }

  post(message) {
    if (!this.ended) this.#connection.post(message);
  }

  log(call, level, line) {
    const step = call === null ? '' : `${call.name}-${call.count}`;
    this.post(`["log",${this.id},${quote(step)},"${level}",${quote(line)}]`);
  }

  begin(Class, ctx, env) {
    if (this.rebuilding) setTimeout(() => this.#ready(), REBUILD_MILLIS);
    enter({ run: this, call: null }, () => this.#main(Class, ctx, env));
  }

  #event() {
    const payload = decode(this.#payload[0], this.#payload[1]);
    this.#payload = undefined;
    const { created, instance, workflow, schedule } = this.#info;
    const event = { payload, timestamp: new DateRef(created), instanceId: instance, workflowName: workflow };
    if (schedule !== undefined) event.schedule = schedule;
    return event;
  }

  // A rebuilding run has come to a step that has no outcome. Others may be called in the same turn.
  reached() {
    setTimeout(() => this.#ready(), 0);
  }

  #ready() {
    if (this.#rebuilt) return;
    this.#rebuilt = true;
    this.over = true;
    this.post(`["rebuilt",${this.id}]`);
  }

  // Calls a rollback handler.
  undo(message) {
    const undo = this.undos.get(`${message[4]} ${message[3]}`);
    if (undo === undefined) missing(this, message);
    else undo.execute(message);
  }

  async #main(Class, ctx, env) {
    let output;
    try {
      if (!isWorkflow(Class)) {
        const message = `The Worker does not export a class "${this.#info.class}" that extends WorkflowEntrypoint`;
        this.die(message, null);
        return;
      }
      const instance = new Class(ctx, env);
      if (typeof instance.run !== 'function') throw typeError('The RPC receiver does not implement the method "run".');
      output = await instance.run(this.#event(), newStep(this));
    } catch (error) {
      this.raise(describe(error), callOf(error));
      return;
    }
    let encoded;
    try {
      encoded = encode(output);
    } catch (error) {
      if (!(error instanceof Unserialisable)) {
        this.raise(describe(error), null);
        return;
      }
      const message = 'The execution of the Workflow instance was terminated, as run() returned a value which is not serialisable';
      this.die(message, null);
      return;
    }
    if (this.rebuilding) {
      this.#ready();
      return;
    }
    this.post(`["returned",${this.id},"${encoded[0]}",${encoded[1]}]`);
    this.end();
  }

  // Ends the run with an error, `call` being the step it came from, if any. It stays for its rollback handlers until it is stopped.
  raise(error, call) {
    if (this.rebuilding) {
      this.#ready();
      return;
    }
    this.#raise(error, call, 0);
    this.over = true;
    this.open.forEach((call) => call.halt());
    this.open.clear();
  }

  // The same for what nothing is rolled back for.
  die(message, call) {
    if (this.rebuilding) {
      this.#ready();
      return;
    }
    this.#raise(['WorkflowFatalError', message], call, 1);
    this.end();
  }

  #raise(error, call, fatal) {
    const id = call !== null && call.run === this ? call.id : 0;
    if (!this.over) this.post(`["raised",${this.id},${stringify(error)},${id},${fatal}]`);
  }

  end() {
    this.ended = true;
    this.#connection.runs.delete(this.id);
    this.open.forEach((call) => call.halt());
    this.open.clear();
    this.streams.forget(this);
  }

  // A command for one call.
  settle(how, message) {
    const call = this.open.get(message[2]);
    if (call === undefined) return;
    if (how === 'halt') {
      call.halt(message[3]);
      return;
    }
    if (how === 'attempt') call.execute(message[3]);
    else call.settle(how, message, 3);
  }
}
