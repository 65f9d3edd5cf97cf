// Values of user code as text: plain JSON where JSON keeps the value exactly, else the graph form (PROTOCOL.md).
// The Rust side is `src/value`.

import {
  ArrayBufferRef,
  ArrayPrototype,
  BigIntRef,
  bigIntText,
  BooleanRef,
  booleanValue,
  builtInErrors,
  dataViewBuffer,
  dataViewLength,
  dataViewOffset,
  DateRef,
  dateTime,
  defineProperty,
  DOMExceptionRef,
  ErrorRef,
  fromBase64,
  getPrototypeOf,
  hasOwn,
  HeadersRef,
  is,
  isArray,
  isFinite,
  isView,
  join,
  keys,
  mapForEach,
  MapRef,
  mapSet,
  NumberRef,
  numberValue,
  ObjectPrototype,
  OwnMap,
  OwnSet,
  quote,
  ReadableStreamRef,
  regExpFlags,
  RegExpRef,
  regExpSource,
  RequestRef,
  ResponseRef,
  setAdd,
  setForEach,
  SetRef,
  stringify,
  StringRef,
  stringValue,
  text,
  toBase64,
  viewBuffer,
  viewLength,
  viewName,
  viewOffset,
  views,
  WritableStreamRef,
} from './primordials.js';

// A value that ends the instance: in production it becomes a stub instead of failing.
export class Unserialisable {}

const cloneError = (message) => new DOMExceptionRef(message, 'DataCloneError');
const unsupported = (type) =>
  cloneError(`Could not serialize object of type "${type}". This type does not support serialization.`);

// `[form, body]`. Throws a DataCloneError, an Unserialisable, or whatever a getter of user code throws.
export function encode(value) {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return ['j', stringify(value)];
    case 'number':
      if (isPlainNumber(value)) return ['j', stringify(value)];
      break;
    case 'object':
      if (value === null || isJson(value)) return ['j', stringify(value)];
      break;
    default:
  }
  return ['g', encodeGraph(value)];
}

const isPlainNumber = (value) => isFinite(value) && !is(value, -0);

// Objects with a few levels only: deeper ones take the graph form, which needs no recursion.
const MAX_DEPTH = 200;
// Objects that are searched one by one.
const FEW = 16;

const isJson = (root) => isJsonObject(root, new Seen(), 0);

function isJsonValue(value, seen, depth) {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return isPlainNumber(value);
    case 'object':
      return value === null || isJsonObject(value, seen, depth);
    default:
      return false;
  }
}

function isJsonObject(value, seen, depth) {
  if (depth === MAX_DEPTH || !seen.add(value) || value.toJSON !== undefined) return false;
  const names = keys(value);
  const prototype = getPrototypeOf(value);
  if (isArray(value)) {
    if (prototype !== ArrayPrototype || !isDense(value, names)) return false;
    for (let i = 0; i < value.length; i++) {
      if (!isJsonValue(value[i], seen, depth + 1)) return false;
    }
    return true;
  }
  if (prototype !== ObjectPrototype) return false;
  for (let i = 0; i < names.length; i++) {
    if (names[i] === '__proto__' || !isJsonValue(value[names[i]], seen, depth + 1)) return false;
  }
  return true;
}

// Objects that were met before. Most values have few; those need no set.
class Seen {
  #few = [];
  #many = null;

  // Whether it is new.
  add(value) {
    if (this.#many !== null) {
      const { size } = this.#many;
      this.#many.add(value);
      return this.#many.size > size;
    }
    const few = this.#few;
    for (let i = 0; i < few.length; i++) {
      if (few[i] === value) return false;
    }
    few[few.length] = value;
    if (few.length === FEW) {
      this.#many = new OwnSet();
      for (let i = 0; i < few.length; i++) this.#many.add(few[i]);
    }
    return true;
  }
}

// Whether an array has all its elements and nothing else: indices come first and in order, so the last name tells.
const isDense = (array, names) =>
  names.length === array.length && (names.length === 0 || names[names.length - 1] === `${names.length - 1}`);

class Encoder {
  nodes = [];
  indices = new OwnMap();
  objects = [];

  // Index of the node for a value; objects are described later.
  ref(value) {
    const index = this.nodes.length;
    if ((typeof value === 'object' && value !== null) || typeof value === 'function') {
      const known = this.indices.get(value);
      if (known !== undefined) return known;
      this.indices.set(value, index);
      this.objects[this.objects.length] = value;
      this.nodes[index] = '';
      return index;
    }
    this.nodes[index] = primitive(value);
    return index;
  }

  encode(root) {
    this.ref(root);
    for (let i = 0; i < this.objects.length; i++) {
      const value = this.objects[i];
      this.nodes[this.indices.get(value)] = this.object(value);
    }
    return `[${join(this.nodes, ',')}]`;
  }

  object(value) {
    if (typeof value === 'function') throw new Unserialisable();
    if (isArray(value)) return this.array(value);
    const prototype = getPrototypeOf(value);
    if (prototype === null) throw unsupported('Object');
    if (prototype === ObjectPrototype) return `["o"${this.properties(value, keys(value))}]`;
    return this.builtIn(value) ?? this.refuse(value);
  }

  properties(value, names) {
    let out = '';
    for (let i = 0; i < names.length; i++) out += `,${stringify(names[i])},${this.ref(value[names[i]])}`;
    return out;
  }

  array(value) {
    const names = keys(value);
    const { length } = value;
    if (!isDense(value, names)) return `["a",${length}${this.properties(value, names)}]`;
    let out = '["l"';
    for (let i = 0; i < length; i++) out += `,${this.ref(value[i])}`;
    return `${out}]`;
  }

  builtIn(value) {
    if (value instanceof MapRef) return this.map(value);
    if (value instanceof SetRef) return this.set(value);
    if (value instanceof DateRef) {
      const time = dateTime(value);
      return `["d",${isFinite(time) ? time : null}]`;
    }
    if (value instanceof RegExpRef) return `["r",${stringify(regExpSource(value))},${stringify(regExpFlags(value))}]`;
    if (value instanceof ArrayBufferRef) return `["b",${stringify(toBase64(value))}]`;
    if (isView(value)) return this.view(value);
    if (value instanceof DOMExceptionRef) return this.refuse(value);
    if (value instanceof ErrorRef) return this.error(value);
    if (value instanceof BooleanRef) return `["B",${this.ref(booleanValue(value))}]`;
    if (value instanceof NumberRef) return `["N",${this.ref(numberValue(value))}]`;
    if (value instanceof StringRef) return `["S",${this.ref(stringValue(value))}]`;
    return null;
  }

  map(value) {
    let out = '["m"';
    mapForEach(value, (item, key) => {
      out += `,${this.ref(key)}`;
      out += `,${this.ref(item)}`;
    });
    return `${out}]`;
  }

  set(value) {
    let out = '["s"';
    setForEach(value, (item) => {
      out += `,${this.ref(item)}`;
    });
    return `${out}]`;
  }

  view(value) {
    const name = viewName(value);
    const [type, buffer, offset, length] =
      name === undefined
        ? ['DataView', dataViewBuffer(value), dataViewOffset(value), dataViewLength(value)]
        : [name, viewBuffer(value), viewOffset(value), viewLength(value)];
    if (!(buffer instanceof ArrayBufferRef)) throw cloneError('#<SharedArrayBuffer> could not be cloned.');
    return `["v","${type}",${this.ref(buffer)},${offset},${length}]`;
  }

  error(value) {
    const name = text(value.name);
    const cause = hasOwn(value, 'cause') ? this.ref(value.cause) : -1;
    return `["e",${stringify(builtInErrors[name] ? name : 'Error')},${quote(value.message)},null,${cause}]`;
  }

  refuse(value) {
    if (value instanceof ReadableStreamRef) throw new Unserialisable();
    if (value instanceof ResponseRef || value instanceof RequestRef) throw new Unserialisable();
    if (value instanceof HeadersRef || value instanceof WritableStreamRef) throw new Unserialisable();
    const name = typeName(value);
    throw OPAQUE[name] === 1 ? cloneError(`#<${name}> could not be cloned.`) : unsupported(name);
  }
}

// What the language itself cannot clone; it is refused in other words than what belongs to the platform.
const OPAQUE = { __proto__: null, Promise: 1, WeakMap: 1, WeakSet: 1, WeakRef: 1 };

function typeName(value) {
  const { constructor } = value;
  return typeof constructor === 'function' ? text(constructor.name) : 'Object';
}

function primitive(value) {
  switch (typeof value) {
    case 'undefined':
      return '["u"]';
    case 'bigint':
      return `["i","${bigIntText(value)}"]`;
    case 'symbol':
      throw cloneError(`${text(value)} could not be cloned.`);
    case 'number':
      return isPlainNumber(value) ? stringify(value) : `["n","${is(value, -0) ? '-0' : value}"]`;
    default:
      return stringify(value);
  }
}

const encodeGraph = (value) => new Encoder().encode(value);

// The value of a form and its parsed body. What is returned is owned by the caller.
export const decode = (form, body) => (form === 'j' ? body : decodeGraph(body));

function decodeGraph(nodes) {
  const values = [];
  for (let i = 0; i < nodes.length; i++) values[i] = shell(nodes[i]);
  // Views and wrappers need what they refer to.
  for (let i = 0; i < nodes.length; i++) {
    if (isArray(nodes[i])) values[i] = dependent(nodes[i], values) ?? values[i];
  }
  for (let i = 0; i < nodes.length; i++) {
    if (isArray(nodes[i])) fill(values[i], nodes[i], values);
  }
  return values[0];
}

const numbers = { __proto__: null, NaN: NaN, Infinity: Infinity, '-Infinity': -Infinity, '-0': -0 };

function shell(node) {
  if (!isArray(node)) return node;
  switch (node[0]) {
    case 'n':
      return numbers[node[1]];
    case 'i':
      return BigIntRef(node[1]);
    case 'o':
      return {};
    case 'a':
    case 'l':
      return [];
    case 'm':
      return new MapRef();
    case 's':
      return new SetRef();
    case 'd':
      return new DateRef(node[1] ?? NaN);
    case 'r':
      return new RegExpRef(node[1], node[2]);
    case 'b':
      return fromBase64(node[1]);
    case 'e':
      return newError(node[1], node[2], node[3]);
    default:
      return undefined;
  }
}

function newError(name, message, stack) {
  const Class = builtInErrors[name] ?? ErrorRef;
  const error = name === 'AggregateError' ? new Class([], message) : new Class(message);
  const value = stack ?? (message === '' ? name : `${name}: ${message}`);
  return defineProperty(error, 'stack', { value, configurable: true, writable: true, enumerable: false });
}

function dependent(node, values) {
  switch (node[0]) {
    case 'v':
      return new views[node[1]](values[node[2]], node[3], node[4]);
    case 'B':
      return new BooleanRef(values[node[1]]);
    case 'N':
      return new NumberRef(values[node[1]]);
    case 'S':
      return new StringRef(values[node[1]]);
    default:
      return undefined;
  }
}

const put = (target, key, value) => {
  if (key !== '__proto__') target[key] = value;
  else defineProperty(target, key, { value, configurable: true, writable: true, enumerable: true });
};

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
      for (let i = 1; i < node.length; i++) target[i - 1] = values[node[i]];
      break;
    case 'm':
      for (let i = 1; i < node.length; i += 2) mapSet(target, values[node[i]], values[node[i + 1]]);
      break;
    case 's':
      for (let i = 1; i < node.length; i++) setAdd(target, values[node[i]]);
      break;
    case 'e':
      if (node[4] >= 0) {
        const value = values[node[4]];
        defineProperty(target, 'cause', { value, configurable: true, writable: true, enumerable: false });
      }
      break;
    default:
  }
}
