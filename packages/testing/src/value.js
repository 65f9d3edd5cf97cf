// Values as they travel: plain JSON where JSON keeps the value exactly, else the graph form (docs/testing.md).

const VIEWS = [
  DataView,
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
];
const ERRORS = [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];
const MAX_DEPTH = 200;

const isPlainNumber = (value) => Number.isFinite(value) && !Object.is(value, -0);
const isObject = (value) => typeof value === 'object' && value !== null;

function isPlainObject(value) {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}

// Whether JSON keeps a value exactly; objects that are met twice need the graph form.
function isJson(value, seen = new Set(), depth = 0) {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return isPlainNumber(value);
  if (!isObject(value) || seen.has(value) || depth > MAX_DEPTH || value.toJSON !== undefined) return false;
  seen.add(value);
  const names = Object.keys(value);
  const fits = (name) => name !== '__proto__' && isJson(value[name], seen, depth + 1);
  if (Array.isArray(value)) return names.length === value.length && names.every(fits);
  return isPlainObject(value) && Object.prototype.toString.call(value) === '[object Object]' && names.every(fits);
}

/** The fields of a message that hold a value: `{[name]: json}`, `{graph}`, or none for undefined. */
export function encode(value, name) {
  if (value === undefined) return {};
  return isJson(value) ? { [name]: value } : { graph: toGraph(value) };
}

function toGraph(root) {
  const nodes = [];
  const indices = new Map();
  const objects = [];
  const ref = (value) => {
    const known = indices.get(value);
    if (known !== undefined) return known;
    const index = nodes.length;
    if (isObject(value) || typeof value === 'function') {
      indices.set(value, index);
      objects.push(value);
      nodes.push(null);
    } else {
      nodes.push(primitive(value));
    }
    return index;
  };
  ref(root);
  for (const object of objects) nodes[indices.get(object)] = describe(object, ref);
  return nodes;
}

function primitive(value) {
  switch (typeof value) {
    case 'undefined':
      return ['u'];
    case 'bigint':
      return ['i', `${value}`];
    case 'symbol':
      throw new TypeError(`${String(value)} cannot be stored in a workflow`);
    case 'number':
      return isPlainNumber(value) ? value : ['n', Object.is(value, -0) ? '-0' : `${value}`];
    default:
      return value;
  }
}

const properties = (value, ref) => Object.keys(value).flatMap((name) => [name, ref(value[name])]);

function describe(value, ref) {
  if (Array.isArray(value)) {
    const isDense = Object.keys(value).length === value.length && !Object.keys(value).some((name) => !/^\d+$/.test(name));
    return isDense ? ['l', ...value.map(ref)] : ['a', value.length, ...properties(value, ref)];
  }
  if (value instanceof Map) return ['m', ...[...value].flatMap(([key, item]) => [ref(key), ref(item)])];
  if (value instanceof Set) return ['s', ...[...value].map(ref)];
  if (value instanceof Date) return ['d', Number.isNaN(value.getTime()) ? null : value.getTime()];
  if (value instanceof RegExp) return ['r', value.source, value.flags];
  if (value instanceof ArrayBuffer) return ['b', Buffer.from(value).toString('base64')];
  if (ArrayBuffer.isView(value)) return describeView(value, ref);
  if (value instanceof Error) {
    const name = ERRORS.some((Class) => Class.name === value.name) ? value.name : 'Error';
    return ['e', name, `${value.message}`, null, Object.hasOwn(value, 'cause') ? ref(value.cause) : -1];
  }
  if (value instanceof Boolean) return ['B', ref(value.valueOf())];
  if (value instanceof Number) return ['N', ref(value.valueOf())];
  if (value instanceof String) return ['S', ref(value.valueOf())];
  if (typeof value === 'object' && isPlainObject(value)) return ['o', ...properties(value, ref)];
  const type = typeof value === 'function' ? 'a function' : `an object of type "${value.constructor?.name ?? 'Object'}"`;
  throw new TypeError(`${type} cannot be stored in a workflow`);
}

function describeView(view, ref) {
  const Class = VIEWS.find((Class) => view instanceof Class) ?? Uint8Array;
  // A Buffer of Node shares its memory with others: only its own part is sent.
  const buffer = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  return ['v', Class.name, ref(buffer), 0, Class === DataView ? view.byteLength : view.length];
}

/** The value in the fields of a message. */
export function decode(message, name) {
  if (message.graph !== undefined) return fromGraph(message.graph);
  return message[name];
}

const NUMBERS = { NaN, Infinity, '-Infinity': -Infinity, '-0': -0 };

function fromGraph(nodes) {
  const values = nodes.map(shell);
  nodes.forEach((node, at) => {
    if (Array.isArray(node)) values[at] = dependent(node, values) ?? values[at];
  });
  nodes.forEach((node, at) => {
    if (Array.isArray(node)) fill(values[at], node, values);
  });
  return values[0];
}

function shell(node) {
  if (!Array.isArray(node)) return node;
  switch (node[0]) {
    case 'n':
      return NUMBERS[node[1]];
    case 'i':
      return BigInt(node[1]);
    case 'o':
      return {};
    case 'a':
    case 'l':
      return [];
    case 'm':
      return new Map();
    case 's':
      return new Set();
    case 'd':
      return new Date(node[1] ?? NaN);
    case 'r':
      return new RegExp(node[1], node[2]);
    case 'b':
      return Uint8Array.from(Buffer.from(node[1], 'base64')).buffer;
    case 'e':
      return new (ERRORS.find((Class) => Class.name === node[1]) ?? Error)(node[2]);
    default:
      return undefined;
  }
}

function dependent(node, values) {
  switch (node[0]) {
    case 'v':
      return new (VIEWS.find((Class) => Class.name === node[1]))(values[node[2]], node[3], node[4]);
    case 'B':
      return new Boolean(values[node[1]]);
    case 'N':
      return new Number(values[node[1]]);
    case 'S':
      return new String(values[node[1]]);
    default:
      return undefined;
  }
}

function put(target, name, value) {
  Object.defineProperty(target, name, { value, configurable: true, writable: true, enumerable: true });
}

function fill(target, node, values) {
  switch (node[0]) {
    case 'o':
      for (let i = 1; i < node.length; i += 2) put(target, node[i], values[node[i + 1]]);
      break;
    case 'a':
      target.length = node[1];
      for (let i = 2; i < node.length; i += 2) put(target, node[i], values[node[i + 1]]);
      break;
    case 'l':
      for (let i = 1; i < node.length; i++) target.push(values[node[i]]);
      break;
    case 'm':
      for (let i = 1; i < node.length; i += 2) target.set(values[node[i]], values[node[i + 1]]);
      break;
    case 's':
      for (let i = 1; i < node.length; i++) target.add(values[node[i]]);
      break;
    case 'e':
      if (node[4] >= 0) Object.defineProperty(target, 'cause', { value: values[node[4]], configurable: true, writable: true });
      break;
    default:
  }
}
