// What the shim uses of the language, taken before user code can change it. Imported first by every module of the shim.

const { apply, getPrototypeOf, ownKeys } = Reflect;
// A method as a function that takes `this` first.
const { bind, call } = Function.prototype;
const uncurry = bind.bind(call);
const getter = (prototype, name) => {
  const { get } = Object.getOwnPropertyDescriptor(prototype, name);
  return uncurry(get);
};

// A collection whose methods are its own.
function own(Base) {
  const Own = class extends Base {};
  for (const key of ownKeys(Base.prototype)) {
    if (key !== 'constructor') {
      Object.defineProperty(Own.prototype, key, Object.getOwnPropertyDescriptor(Base.prototype, key));
    }
  }
  Object.setPrototypeOf(Own.prototype, null);
  return Own;
}

const TypedArray = getPrototypeOf(Uint8Array);

export const OwnMap = own(Map);
export const OwnSet = own(Set);
export const OwnWeakMap = own(WeakMap);

export const { parse, stringify } = JSON;
export const { create, defineProperty, keys, is } = Object;
export const { isArray } = Array;
export const { isFinite, isInteger } = Number;
export const { now } = Date;
export { apply, getPrototypeOf };
export const ObjectPrototype = Object.prototype;
export const ArrayPrototype = Array.prototype;

export const ArrayBufferRef = ArrayBuffer;
export const BigIntRef = BigInt;
export const DateRef = Date;
export const DataViewRef = DataView;
export const DOMExceptionRef = DOMException;
export const ErrorRef = Error;
export const HeadersRef = Headers;
export const MapRef = Map;
export const NumberRef = Number;
export const BooleanRef = Boolean;
export const PromiseRef = Promise;
export const RangeErrorRef = RangeError;
export const ReadableStreamRef = ReadableStream;
export const RegExpRef = RegExp;
export const RequestRef = Request;
export const ResponseRef = Response;
export const SetRef = Set;
export const StringRef = String;
export const TypeErrorRef = TypeError;
export const WebSocketPairRef = WebSocketPair;
export const WritableStreamRef = WritableStream;

export const builtInErrors = Object.assign(create(null), {
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
  AggregateError,
});

export const views = Object.assign(create(null), {
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
  DataView,
  ...(typeof Float16Array === 'function' ? { Float16Array } : {}),
});

export const isView = ArrayBuffer.isView;
export const viewName = getter(TypedArray.prototype, Symbol.toStringTag);
export const viewBuffer = getter(TypedArray.prototype, 'buffer');
export const viewOffset = getter(TypedArray.prototype, 'byteOffset');
export const viewLength = getter(TypedArray.prototype, 'length');
export const viewBytes = getter(TypedArray.prototype, 'byteLength');
export const setBytes = uncurry(TypedArray.prototype.set);
export const dataViewBuffer = getter(DataView.prototype, 'buffer');
export const dataViewOffset = getter(DataView.prototype, 'byteOffset');
export const dataViewLength = getter(DataView.prototype, 'byteLength');

const toBase64Of = uncurry(Uint8Array.prototype.toBase64);
export const toBase64 = (buffer) => toBase64Of(new views.Uint8Array(buffer));
export const bytesToBase64 = (bytes) => toBase64Of(bytes);
const fromBase64Of = Uint8Array.fromBase64;
export const fromBase64 = (text) => viewBuffer(apply(fromBase64Of, views.Uint8Array, [text]));

export const join = uncurry(Array.prototype.join);
export const toWellFormed = uncurry(String.prototype.toWellFormed);
export const startsWith = uncurry(String.prototype.startsWith);
export const slice = uncurry(String.prototype.slice);
export const indexOf = uncurry(String.prototype.indexOf);
export const match = uncurry(RegExp.prototype.exec);
export const hasOwn = uncurry(Object.prototype.hasOwnProperty);
export const dateTime = uncurry(Date.prototype.getTime);
export const mapForEach = uncurry(Map.prototype.forEach);
export const mapSet = uncurry(Map.prototype.set);
export const setForEach = uncurry(Set.prototype.forEach);
export const setAdd = uncurry(Set.prototype.add);
export const regExpSource = getter(RegExp.prototype, 'source');
export const regExpFlags = getter(RegExp.prototype, 'flags');
export const bigIntText = uncurry(BigInt.prototype.toString);
export const booleanValue = uncurry(Boolean.prototype.valueOf);
export const numberValue = uncurry(Number.prototype.valueOf);
export const stringValue = uncurry(String.prototype.valueOf);

export const setTimeout = globalThis.setTimeout.bind(globalThis);
export const clearTimeout = globalThis.clearTimeout.bind(globalThis);
export const addGlobalListener = globalThis.addEventListener.bind(globalThis);
// With the earliest compatibility dates it belongs to each stream.
export const isLocked =
  Object.getOwnPropertyDescriptor(ReadableStream.prototype, 'locked') === undefined
    ? (stream) => stream.locked
    : getter(ReadableStream.prototype, 'locked');
export const getReader = uncurry(ReadableStream.prototype.getReader);
export const readerRead = uncurry(ReadableStreamDefaultReader.prototype.read);
export const readerCancel = uncurry(ReadableStreamDefaultReader.prototype.cancel);
export const socketSend = uncurry(WebSocket.prototype.send);
export const socketAccept = uncurry(WebSocket.prototype.accept);
export const socketClose = uncurry(WebSocket.prototype.close);
export const listen = uncurry(EventTarget.prototype.addEventListener);

// Text that survives a trip through UTF-8; never throws.
export function text(value) {
  if (typeof value === 'string') return toWellFormed(value);
  try {
    return toWellFormed(StringRef(value));
  } catch {
    return '[a value that has no text]';
  }
}

export const quote = (value) => stringify(text(value));
