// One run of one instance: begins when its history is there, ends when `run()` returns or throws, or when it is stopped.

import { WorkflowEntrypoint } from 'cloudflare:workers';
import { callOf, describe } from './errors.js';
import { DateRef, getPrototypeOf, OwnMap, quote, stringify } from './primordials.js';
import { enter } from './scope.js';
import { newStep } from './step.js';
import { decode, encode } from './value.js';

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
  warned = false;
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
    this.id = id;
    this.limit = info.steps;
    this.className = info.class;
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

  post(message) {
    if (!this.ended) this.#connection.post(message);
  }

  log(call, level, line) {
    const step = call === null ? '' : `${call.name}-${call.count}`;
    this.post(`["log",${this.id},${quote(step)},"${level}",${quote(line)}]`);
  }

  begin(Class, ctx, env) {
    enter({ run: this, call: null }, () => this.#main(Class, ctx, env));
  }

  #event() {
    const payload = decode(this.#payload[0], this.#payload[1]);
    this.#payload = undefined;
    const { created, instance, workflow } = this.#info;
    return { payload, timestamp: new DateRef(created), instanceId: instance, workflowName: workflow };
  }

  async #main(Class, ctx, env) {
    let output;
    try {
      if (!isWorkflow(Class)) {
        const message = `The Worker does not export a class "${this.#info.class}" that extends WorkflowEntrypoint`;
        this.raise(['WorkflowFatalError', message], null);
        return;
      }
      output = await new Class(ctx, env).run(this.#event(), newStep(this));
    } catch (error) {
      this.raise(describe(error), callOf(error));
      return;
    }
    let encoded;
    try {
      encoded = encode(output);
    } catch {
      const message = 'The execution of the Workflow instance was terminated, as run() returned a value which is not serialisable';
      this.raise(['WorkflowFatalError', message], null);
      return;
    }
    this.post(`["returned",${this.id},"${encoded[0]}",${encoded[1]}]`);
    this.end();
  }

  // Ends the run with an error, `call` being the step it came from, if any.
  raise(error, call) {
    const id = call !== null && call.run === this ? call.id : 0;
    this.post(`["raised",${this.id},${stringify(error)},${id}]`);
    this.end();
  }

  end() {
    this.ended = true;
    this.#connection.runs.delete(this.id);
    this.open.clear();
  }

  // A command for one call.
  settle(how, message) {
    const call = this.open.get(message[2]);
    if (call === undefined) return;
    if (how === 'attempt') call.execute(message[3]);
    else call.settle(how, message, 3);
  }
}
