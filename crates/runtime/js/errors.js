// Errors across the step boundary, which is an RPC boundary in production: built-in classes keep their class, other
// names are folded into the message, stacks are lost.

import {
  builtInErrors,
  create,
  defineProperty,
  DOMExceptionRef,
  ErrorRef,
  OwnWeakMap,
  slice,
  startsWith,
  text,
  TypeErrorRef,
} from './primordials.js';

// DOM exceptions keep their class as well.
const domNames = create(null);
for (const name of [
  'AbortError',
  'ConstraintError',
  'DataCloneError',
  'DataError',
  'EncodingError',
  'HierarchyRequestError',
  'InUseAttributeError',
  'IndexSizeError',
  'InvalidAccessError',
  'InvalidCharacterError',
  'InvalidModificationError',
  'InvalidNodeTypeError',
  'InvalidStateError',
  'NamespaceError',
  'NetworkError',
  'NoModificationAllowedError',
  'NotAllowedError',
  'NotFoundError',
  'NotReadableError',
  'NotSupportedError',
  'OperationError',
  'QuotaExceededError',
  'ReadOnlyError',
  'SecurityError',
  'TimeoutError',
  'TransactionInactiveError',
  'TypeMismatchError',
  'URLMismatchError',
  'UnknownError',
  'VersionError',
  'WrongDocumentError',
]) {
  domNames[name] = 1;
}

// Errors that the shim has thrown into user code, and the call each belongs to.
const thrownByCall = new OwnWeakMap();

export const callOf = (error) =>
  (typeof error === 'object' && error !== null && thrownByCall.get(error)) || null;

// Longer messages are cut (UTF-16 units).
const LONGEST = 32_768;

const cut = (value) => (value.length <= LONGEST ? value : text(`${slice(value, 0, LONGEST)}…`));

const property = (error, name) => {
  try {
    const value = error[name];
    return value === undefined ? '' : cut(text(value));
  } catch {
    return '';
  }
};

// What is thrown and is no error: an object by its class, anything else as text.
function thing(thrown) {
  if (typeof thrown !== 'object' || thrown === null) return text(thrown);
  try {
    return `#<${text(thrown.constructor.name)}>`;
  } catch {
    return '#<Object>';
  }
}

// How the message of a NonRetryableError begins that came through another step.
const FINAL = 'NonRetryableError: ';

// `[name, message]` of anything thrown.
export function describe(error) {
  if (!(error instanceof ErrorRef)) return ['Error', cut(thing(error))];
  const name = property(error, 'name');
  const message = property(error, 'message');
  if (name === 'Error' && startsWith(message, FINAL)) return ['NonRetryableError', text(slice(message, FINAL.length))];
  if (builtInErrors[name] !== undefined || name === 'NonRetryableError') return [name, message];
  if (error instanceof DOMExceptionRef && domNames[name] === 1) return [name, message];
  return ['Error', name === '' ? message : message === '' ? name : `${name}: ${message}`];
}

// The error that user code sees for a recorded one. Its stack says nothing of the shim.
export function revive([name, message], call) {
  let error;
  if (domNames[name] === 1) error = new DOMExceptionRef(message, name);
  else if (name === 'AggregateError') {
    error = new builtInErrors.AggregateError([], message);
    delete error.errors;
  } else if (builtInErrors[name] !== undefined) error = new builtInErrors[name](message);
  else error = new ErrorRef(message === '' ? name : `${name}: ${message}`);
  hideStack(error);
  if (call !== undefined) thrownByCall.set(error, call);
  return error;
}

export function hideStack(error) {
  const { name, message } = error;
  const value = message === '' ? name : `${name}: ${message}`;
  defineProperty(error, 'stack', { value, configurable: true, writable: true, enumerable: false });
  return error;
}

export const isNonRetryable = ([name, message]) =>
  name === 'NonRetryableError' || startsWith(message, 'NonRetryableError');

export const fatal = (message) => revive(['WorkflowFatalError', message]);
export const typeError = (message) => hideStack(new TypeErrorRef(message));
