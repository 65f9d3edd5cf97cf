// A subscription to the events of an instance: cairn writes them into the body of one answer, each ended by a record separator.

import { RpcTarget } from 'cloudflare:workers';
import { decode } from './value.js';

const SEPARATOR = '\u001e';
const over = () => ({ done: true, value: undefined });

// The options as part of a call, or null where they are none. The types of a filter are cairn's to check.
export function subscriptionText(options) {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) return null;
  const { cursor = 0, filter, ...rest } = options;
  if (Object.keys(rest).length > 0 || !Number.isSafeInteger(cursor) || cursor < 0) return null;
  if (filter === undefined) return `,"cursor":${cursor}`;
  if (!Array.isArray(filter) || !filter.every((type) => typeof type === 'string')) return null;
  return `,"cursor":${cursor},"filter":${JSON.stringify(filter.map((type) => type.toWellFormed()))}`;
}

export class Subscription extends RpcTarget {
  #reader;
  #failureOf;
  #open;
  #decoder = new TextDecoder();
  // What came of the next text.
  #rest = '';
  #texts = [];
  #last = Promise.resolve();
  #done = false;

  // `failureOf` makes an error of a message, `open` a stream of what an event says of it.
  constructor(body, { failureOf, open }) {
    super();
    this.#reader = body.getReader();
    this.#failureOf = failureOf;
    this.#open = open;
  }

  // Calls that overlap are answered in order.
  next() {
    const next = this.#last.then(() => this.#next());
    this.#last = next.catch(() => {});
    return next;
  }

  async #next() {
    if (this.#done) return over();
    const text = await this.#text();
    if (this.#done) return over();
    const { event, value, stream, failure } = text === undefined ? { failure: '(internal) the subscription was interrupted' } : JSON.parse(text);
    if (event !== undefined) {
      if (value !== undefined) event[value[0]] = decode(value[1], value[2]);
      if (stream !== undefined) event.output = await this.#open(stream);
      return { done: false, value: event };
    }
    this.#done = true;
    if (failure !== undefined) throw this.#failureOf(failure);
    return over();
  }

  async #text() {
    while (this.#texts.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      const parts = this.#decoder.decode(value, { stream: true }).split(SEPARATOR);
      parts[0] = this.#rest + parts[0];
      this.#rest = parts.pop();
      this.#texts.push(...parts);
    }
    return this.#texts.shift();
  }

  // Ends the request, by which cairn learns of it.
  [Symbol.dispose]() {
    this.#done = true;
    this.#reader.cancel().catch(() => {});
  }
}
