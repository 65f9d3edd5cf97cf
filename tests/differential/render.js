// Any value as JSON without a loss: what JSON cannot say is an object whose only key begins with `$`.

const NEAR_MILLIS = 3 * 3600 * 1000;
const SHOWN = 16;

const near = (millis) => Math.abs(millis - Date.now()) < NEAR_MILLIS;

// A short fingerprint of bytes too many to show (FNV-1a).
function fingerprint(bytes) {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16);
}

function bytesOf(bytes) {
  if (bytes.length <= SHOWN) return [...bytes];
  return { first: [...bytes.subarray(0, SHOWN)], length: bytes.length, fingerprint: fingerprint(bytes) };
}

function number(value) {
  if (Object.is(value, -0)) return { $number: '-0' };
  if (!Number.isFinite(value)) return { $number: String(value) };
  return near(value) ? { $number: 'now' } : value;
}

function string(value) {
  if (value.length <= 2000) return value;
  const bytes = new TextEncoder().encode(value);
  return { $string: { first: value.slice(0, 40), length: value.length, fingerprint: fingerprint(bytes) } };
}

// `seen` finds circles; a value that occurs twice without a circle is rendered twice.
export async function render(value, seen = []) {
  switch (typeof value) {
    case 'undefined':
      return { $undefined: true };
    case 'bigint':
      return { $bigint: String(value) };
    case 'number':
      return number(value);
    case 'string':
      return string(value);
    case 'boolean':
      return value;
    case 'symbol':
    case 'function':
      return { [`$${typeof value}`]: true };
  }
  if (value === null) return null;
  if (seen.includes(value)) return { $circle: seen.length - seen.indexOf(value) };
  return object(value, [...seen, value]);
}

async function object(value, seen) {
  if (Array.isArray(value)) {
    const items = [];
    for (let i = 0; i < value.length; i++) items.push(i in value ? await render(value[i], seen) : { $hole: true });
    return items;
  }
  if (value instanceof Date) {
    const time = value.getTime();
    return { $Date: Number.isNaN(time) ? 'invalid' : near(time) ? 'now' : value.toISOString() };
  }
  if (value instanceof RegExp) return { $RegExp: String(value) };
  if (value instanceof Map) return { $Map: await render([...value], seen) };
  if (value instanceof Set) return { $Set: await render([...value], seen) };
  if (value instanceof Error) return { $error: await error(value, seen) };
  if (value instanceof ArrayBuffer) return { $ArrayBuffer: bytesOf(new Uint8Array(value)) };
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return { [`$${value.constructor.name}`]: bytesOf(bytes) };
  }
  if (value instanceof ReadableStream) return { $stream: bytesOf(new Uint8Array(await new Response(value).arrayBuffer())) };
  if (value instanceof Number || value instanceof String || value instanceof Boolean) {
    return { [`$${value.constructor.name}`]: await render(value.valueOf(), seen) };
  }
  const entries = [];
  for (const key of Object.keys(value).sort()) entries.push([key, await render(value[key], seen)]);
  // Not by assignment: a key may be `__proto__`.
  const fields = Object.fromEntries(entries);
  const prototype = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) return fields;
  return { [`$${prototype.constructor?.name ?? 'object'}`]: fields };
}

// What the runtime adds to errors from elsewhere: the case `error-own-properties` names them.
const ADDED = ['stack', 'remote', 'durableObjectId'];

// Everything of an error that user code can see, but its stack.
export async function error(thrown, seen = []) {
  if (!(thrown instanceof Error)) return { thrown: await render(thrown, seen) };
  const shown = { class: thrown.constructor.name, name: thrown.name, message: string(thrown.message) };
  for (const key of Object.getOwnPropertyNames(thrown)) {
    if (!(key in shown) && !ADDED.includes(key)) shown[key] = await render(thrown[key], seen);
  }
  return shown;
}
