// Configuration of `step.do` as it is reported, and as `ctx.config` shows it. What a value may be is decided by the
// rules on the other side; here it only matters whether it is ordinary, so that the first attempt need not wait.

import { getPrototypeOf, isFinite, isInteger, keys, match, NumberRef, ObjectPrototype, quote, slice } from './primordials.js';

const BACKOFFS = { __proto__: null, constant: 1, linear: 1, exponential: 1 };
const UNITS = {
  __proto__: null,
  millisecond: 1,
  second: 1e3,
  minute: 6e4,
  hour: 36e5,
  day: 864e5,
  week: 6048e5,
  month: 2592e6,
  year: 31536e6,
};
const DURATION = /^(\d+(?:\.\d+)?)\s*(millisecond|second|minute|hour|day|week|month|year)s?$/;
const LONGEST_MILLIS = 1e12;
const MOST_RETRIES = 10_000;

// Milliseconds of a duration of the plainest form, NaN for any other.
export function millisOf(duration) {
  if (typeof duration === 'number') return duration;
  if (typeof duration !== 'string') return NaN;
  const parts = match(DURATION, duration);
  return parts === null ? NaN : NumberRef(parts[1]) * UNITS[parts[2]];
}

const isOrdinary = (duration, least) => {
  const millis = millisOf(duration);
  return millis >= least && millis <= LONGEST_MILLIS;
};

export const number = (value) => (isFinite(value) ? `${value}` : `"${value}"`);

// A number or text, else undefined.
const scalar = (value) =>
  typeof value === 'number' ? number(value) : typeof value === 'string' ? quote(value) : undefined;

const isPlain = (value) => {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = getPrototypeOf(value);
  return prototype === ObjectPrototype || prototype === null;
};

// The keys that are given, or null when there are others.
function pick(value, allowed) {
  if (!isPlain(value)) return null;
  const picked = { __proto__: null };
  const names = keys(value);
  for (let i = 0; i < names.length; i++) {
    if (allowed[names[i]] !== 1) return null;
    const item = value[names[i]];
    if (item !== undefined) picked[names[i]] = item;
  }
  return picked;
}

const TOP_KEYS = { __proto__: null, retries: 1, timeout: 1, sensitive: 1 };
const RETRY_KEYS = { __proto__: null, limit: 1, delay: 1, backoff: 1 };

const INVALID = { wire: '"invalid"', ordinary: false, limit: 0, delay: undefined, retries: {}, timeout: undefined, sensitive: undefined };
const NONE = {
  wire: 'null',
  ordinary: true,
  limit: 5,
  delay: undefined,
  retries: { limit: 5, delay: 10_000, backoff: 'exponential' },
  timeout: '10 minutes',
  sensitive: undefined,
};

// `wire` is what is reported; `delay` the delay function, if any; `retries`, `timeout` and `sensitive` are for `ctx.config`.
export function readConfig(input) {
  if (input === undefined || input === null) return NONE;
  const config = pick(input, TOP_KEYS);
  if (config === null) return INVALID;
  const read = { ...NONE };
  let wire = '';
  if (config.retries !== undefined) {
    const retries = readRetries(config.retries, read);
    if (retries === undefined) return INVALID;
    wire += `,"retries":${retries}`;
  }
  if (config.timeout !== undefined) {
    const timeout = scalar(config.timeout);
    if (timeout === undefined) return INVALID;
    wire += `,"timeout":${timeout}`;
    read.timeout = config.timeout;
    read.ordinary &&= isOrdinary(config.timeout, 1);
  }
  if (config.sensitive !== undefined) {
    if (typeof config.sensitive !== 'string') return INVALID;
    wire += `,"sensitive":${quote(config.sensitive)}`;
    read.sensitive = config.sensitive;
    read.ordinary &&= config.sensitive === 'output';
  }
  read.wire = wire === '' ? '{}' : `{${slice(wire, 1)}}`;
  return read;
}

function readRetries(input, read) {
  const retries = pick(input, RETRY_KEYS);
  if (retries === null || typeof retries.limit !== 'number') return undefined;
  const { limit, delay, backoff } = retries;
  const dynamic = typeof delay === 'function';
  const delayText = dynamic ? '{"dynamic":true}' : scalar(delay);
  if (delayText === undefined || (backoff !== undefined && typeof backoff !== 'string')) return undefined;
  read.limit = limit;
  read.delay = dynamic ? delay : undefined;
  read.retries = { limit, ...(dynamic ? {} : { delay }), backoff: backoff ?? 'exponential' };
  read.ordinary =
    isInteger(limit) &&
    limit >= 0 &&
    limit <= MOST_RETRIES &&
    (dynamic || isOrdinary(delay, 0)) &&
    (backoff === undefined || BACKOFFS[backoff] === 1);
  return `{"limit":${number(limit)},"delay":${delayText}${backoff === undefined ? '' : `,"backoff":${quote(backoff)}`}}`;
}
