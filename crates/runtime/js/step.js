// The `step` object of a run and the calls made on it (behaviour §3).

import { number, readConfig } from './config.js';
import { askDelay } from './delay.js';
import { describe, fatal, revive, typeError } from './errors.js';
import {
  create,
  DateRef,
  dateTime,
  isFinite,
  match,
  parse,
  PromiseRef,
  quote,
  slice,
  stringify,
  text,
} from './primordials.js';
import { current, enter } from './scope.js';
import { readRollback, Undo } from './undo.js';
import { InvalidStream, isStream } from './stream.js';
import { decode, encode, Unserialisable } from './value.js';

const LONGEST_NAME = 256;
// Larger results could not be sent; the limit that users meet is far below.
const LARGEST_BODY = 32 * 1024 * 1024;

const CONTROL = /[\0-\x1f]/;

const isOrdinaryName = (name) => name.length <= LONGEST_NAME && match(CONTROL, name) === null;

// A name that is much too long is refused by the rules; they need not see all of it.
const nameOf = (name) => {
  const whole = text(name);
  return whole.length <= 4 * LONGEST_NAME ? whole : text(slice(whole, 0, 4 * LONGEST_NAME));
};

// One call of a step function, from its start to its settlement. It is the scope of its callback.
class Call {
  callback = null;
  config = null;
  attempt = 0;
  form = null;
  body = null;
  // Its rollback handler, if it has one.
  undo = null;
  // The reading of a stream that the callback has returned.
  reading = null;
  settled = false;

  constructor(run, kind, name) {
    this.run = run;
    this.call = this;
    this.id = ++run.calls;
    this.kind = kind;
    this.name = nameOf(name);
    this.count = run.count(kind, this.name);
    const scope = current();
    this.parent = scope !== undefined && scope.run === run && scope.call !== null ? scope.call.id : 0;
    this.resolve = null;
    this.reject = null;
    this.promise = new PromiseRef((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  // Whether the outcome is known from an earlier run; if so, the call has settled.
  recall() {
    const known = this.run.recall(this.kind, this.name, this.count);
    if (known === undefined || known[3] === 'open') return known;
    this.settle(known[3], known, 4);
    return known;
  }

  // Announces the call and waits for its outcome.
  open(rest) {
    if (this.run.rebuilding) {
      // Nothing starts in a rollback: user code has come as far as it did before.
      this.run.reached();
      return;
    }
    this.run.open.set(this.id, this);
    this.run.post(
      `["${this.kind.word}",${this.run.id},${this.id},${this.parent},${stringify(this.name)},${this.count},${rest}]`,
    );
  }

  // `message[at]` is the first element of the outcome.
  settle(how, message, at) {
    this.settled = true;
    this.halt();
    this.run.open.delete(this.id);
    try {
      this.resolveAs(how, message, at);
    } catch {
      this.reject(revive(['WorkflowInternalError', `The stored outcome of ${this.name}-${this.count} cannot be read`], this));
    }
    this.callback = this.body = null;
  }

  resolveAs(how, message, at) {
    switch (how) {
      case 'stored':
        this.keepForUndo(this.form, this.body);
        this.resolve(decode(this.form, parse(this.body)));
        break;
      case 'value':
        if (this.undo !== null) this.keepForUndo(message[at], stringify(message[at + 1]));
        this.resolve(this.restore(message[at], message[at + 1]));
        break;
      case 'slept':
        this.resolve(undefined);
        break;
      case 'event':
        this.resolve({
          payload: decode(message[at + 2], message[at + 3]),
          timestamp: new DateRef(message[at + 1]),
          type: message[at],
        });
        break;
      case 'refused':
        this.run.uncount(this);
        this.reject(revive(message[at], this));
        break;
      case 'failed':
        this.reject(revive(message[at], this));
        break;
      default:
        throw typeError(`an outcome of an unknown kind: ${how}`);
    }
  }

  // A stored result. A stream is a fresh one each time.
  restore(form, body) {
    return form === 's' ? this.run.streams.open(this.run, `${this.name}-${this.count}`, body) : decode(form, body);
  }

  // Nobody waits for the stream that an attempt has returned: this one, or any.
  halt(attempt) {
    if (this.reading !== null && (attempt === undefined || this.reading.attempt === attempt)) this.reading.stop();
  }

  keepForUndo(form, body) {
    if (this.undo !== null) this.undo.keep(form, () => parse(body));
  }

  context(attempt) {
    const { retries, timeout, sensitive } = this.config;
    return {
      step: { name: this.name, count: this.count },
      attempt,
      config: { retries: { ...retries }, timeout, ...(sensitive === undefined ? {} : { sensitive }) },
    };
  }

  // The first attempt, once the call has returned. A run that was stopped before begins nothing.
  async executeSoon() {
    await undefined;
    if (!this.run.ended) await this.execute(1);
  }

  // Executes the callback and reports what came of it.
  async execute(attempt) {
    this.halt();
    this.attempt = attempt;
    this.body = null;
    let thrown;
    try {
      const value = await enter(this, this.callback, this.context(attempt));
      if (!isStream(value)) this.report(attempt, value);
      else if (this.isLive() && attempt === this.attempt) {
        await enter(this, () => this.run.streams.send(this, attempt, value));
      }
      return;
    } catch (error) {
      thrown = error;
    }
    if (thrown instanceof Unserialisable || thrown instanceof InvalidStream) {
      if (this.isLive() && attempt === this.attempt) this.run.die(this.unserialisable(thrown), this);
      return;
    }
    const error = describe(thrown);
    const delay = await askDelay(
      { scope: this, config: this.config, step: `${this.name}-${this.count}`, ctx: this.context(attempt) },
      attempt,
      error,
    );
    if (this.isLive()) {
      this.run.post(`["threw",${this.run.id},${this.id},${attempt},${stringify(error)},${delay}]`);
    }
  }

  isLive() {
    return !this.settled && !this.run.ended && !this.run.over;
  }

  report(attempt, value) {
    if (!this.isLive()) return;
    const [form, body] = encode(value);
    if (body.length > LARGEST_BODY) {
      const message = `Step ${this.name}-${this.count} output is too large: ${body.length} characters.`;
      this.run.post(
        `["threw",${this.run.id},${this.id},${attempt},${stringify(['WorkflowInternalError', message])},null]`,
      );
      return;
    }
    if (attempt === this.attempt) {
      this.form = form;
      this.body = body;
    }
    this.run.post(`["done",${this.run.id},${this.id},${attempt},"${form}",${body}]`);
  }

  unserialisable({ reason }) {
    const start = `The execution of the Workflow instance was terminated, as the step "${this.name}" returned`;
    return reason === undefined
      ? `${start} a value which is not serialisable`
      : `${start} an invalid ReadableStream output. ${reason}`;
  }
}

// The kinds of calls, with the numbers of their counters and histories: sleeps of both kinds share theirs.
const DO = { word: 'do', index: 0 };
const SLEEP = { word: 'sleep', index: 1 };
const UNTIL = { word: 'until', index: 1 };
const WAIT = { word: 'wait', index: 2 };

const rejected = (error) =>
  new PromiseRef((_, reject) => {
    reject(error);
  });

const never = () => new PromiseRef(() => {});

function stepDo(run, name, options, callback, undoOptions) {
  if (typeof callback !== 'function') return rejected(fatal(`Step "${text(name)}" requires a callback function`));
  const rollback = readRollback(name, undoOptions);
  const call = new Call(run, DO, name);
  const config = readConfig(options);
  const inLimit = ++run.steps <= run.limit;
  call.callback = callback;
  call.config = config;
  if (rollback !== undefined) {
    call.undo = new Undo(call, rollback);
    run.undos.set(`${call.count} ${call.name}`, call.undo);
  }
  const known = call.recall();
  if (call.settled) return call.promise;
  const executing =
    known === undefined &&
    !run.held &&
    !run.rebuilding &&
    inLimit &&
    config.ordinary &&
    (rollback === undefined || rollback.config.ordinary) &&
    (call.count > 1 || isOrdinaryName(call.name));
  call.open(`${config.wire},${executing ? 1 : 0}${rollback === undefined ? '' : `,${rollback.config.wire}`}`);
  if (executing) {
    call.executeSoon();
  }
  return call.promise;
}

function simple(run, kind, name, rest) {
  const call = new Call(run, kind, name);
  call.recall();
  if (!call.settled) call.open(rest);
  return call.promise;
}

const duration = (value) => (typeof value === 'number' ? number(value) : quote(value));

const sleep = (run, name, value) => simple(run, SLEEP, name, duration(value));

function sleepUntil(run, name, value) {
  const time = value instanceof DateRef ? dateTime(value) : value;
  const rest = typeof time === 'number' && isFinite(time) ? stringify(time) : 'null';
  return simple(run, UNTIL, name, rest);
}

function waitForEvent(run, name, options) {
  if (typeof options !== 'object' || options === null || typeof options.type !== 'string') {
    return rejected(typeError(`step.waitForEvent("${text(name)}") needs an object with the type of the event, a text`));
  }
  const { type, timeout } = options;
  return simple(run, WAIT, name, `${quote(type)},${timeout === undefined ? 'null' : duration(timeout)}`);
}

// In production `step` is a stub: whatever is asked of it is a function.
const anything = new Proxy(create(null), {
  get(_, name) {
    if (typeof name !== 'string' || name === 'then' || name === 'toJSON') return undefined;
    return () => rejected(typeError(`The RPC receiver does not implement the method "${name}".`));
  },
});

const misnamed = (name) => `Step name "${text(name)}" exceeds max length (256 chars) or invalid characters found`;

export function newStep(run) {
  const guard = (method, name, a, b, c) => {
    if (run.ended || run.over) {
      const inHandler = current()?.undoing === true;
      return inHandler ? rejected(fatal('Cannot execute steps during rollback phase')) : never();
    }
    try {
      if (typeof name !== 'string') return rejected(fatal(misnamed(name)));
      return method(run, name, a, b, c);
    } catch (error) {
      return rejected(error);
    }
  };
  return {
    __proto__: anything,
    do: (name, a, b, c) =>
      typeof a === 'function' ? guard(stepDo, name, undefined, a, b) : guard(stepDo, name, a, b, c),
    sleep: (name, duration) => guard(sleep, name, duration),
    sleepUntil: (name, time) => guard(sleepUntil, name, time),
    waitForEvent: (name, options) => guard(waitForEvent, name, options),
  };
}
