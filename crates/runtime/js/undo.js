// Rollback handlers: registered by the calls of `step.do` that have one, called by cairn when the instance is rolled back.

import { readConfig } from './config.js';
import { askDelay } from './delay.js';
import { describe, fatal, revive } from './errors.js';
import { quote, stringify, text } from './primordials.js';
import { enter } from './scope.js';

// `undefined` when there are no options; options without a handler are a mistake.
export function readRollback(name, options) {
  if (options === undefined) return undefined;
  if (typeof options !== 'object' || options === null) {
    throw fatal(`Rollback options for "${text(name)}" must be an object`);
  }
  const { rollback, rollbackConfig } = options;
  if (typeof rollback !== 'function') throw fatal(`Rollback for "${text(name)}" must be a function`);
  return { callback: rollback, config: readConfig(rollbackConfig) };
}

// The handler of one step. It is the scope of its calls.
export class Undo {
  undoing = true;
  // The step's result, once it has one: its form, and its body as JSON.
  form = null;
  body = null;

  constructor(call, { callback, config }) {
    this.run = call.run;
    this.call = call;
    this.callback = callback;
    this.config = config;
  }

  keep(form, body) {
    this.form = form;
    this.body = body;
  }

  // From a `rollback` message.
  async execute([, , step, , , attempt, error]) {
    const answer = (rest) => this.run.post(`["undone",${this.run.id},${step},${attempt},${rest}]`);
    const { name, count } = this.call;
    const ctx = () => this.call.context(this.call.attempt || 1);
    let thrown;
    try {
      const output = this.form === null ? undefined : this.call.restore(this.form, this.body());
      await enter(this, this.callback, { ctx: ctx(), error: errorOf(error), output, stepName: `${name}-${count}` });
      answer('"ok"');
      return;
    } catch (reason) {
      thrown = describe(reason);
    }
    const delay = await askDelay({ scope: this, config: this.config, step: `${name}-${count}`, ctx: ctx() }, attempt, thrown);
    answer(`"threw",${stringify(thrown)},${delay}`);
  }
}

// What the instance is rolled back for. The error of a termination has not been thrown across a boundary: its name is not in its message.
const errorOf = ([name, message]) => revive([name === 'Terminated' ? 'Error' : name, message]);

export const missing = (run, [, , step, , , attempt]) =>
  run.post(`["undone",${run.id},${step},${attempt},${quote('missing')}]`);
