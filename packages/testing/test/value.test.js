// The forms of values, without a server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode } from '../src/value.js';

const there = (value) => decode(JSON.parse(JSON.stringify(encode(value, 'value'))), 'value');

test('what JSON keeps travels as JSON', () => {
  for (const value of [null, 'x', true, 1.5, [], [1, [null]], { a: { b: [] } }]) {
    assert.deepEqual(encode(value, 'value'), { value });
  }
  assert.deepEqual(encode(undefined, 'value'), {});
});

test('everything else travels as a graph', () => {
  const wrapped = [Object(true), Object(1), Object('s')];
  for (const value of [
    NaN,
    -0,
    10n,
    new Date(3),
    /a+/gi,
    new Map([[{ k: 1 }, new Set([1, 'a'])]]),
    new Uint8Array([1, 2, 3]),
    new Float64Array([0.5]),
    new Uint8Array([1, 2, 3]).buffer,
    { a: undefined },
    [, 1],
    wrapped,
  ]) {
    assert.ok('graph' in encode(value, 'value'));
    assert.deepStrictEqual(there(value), value);
  }
  assert.ok(Number.isNaN(there(new Date(NaN)).getTime()));
  const bytes = there(Buffer.from('abc'));
  assert.deepEqual([...bytes], [97, 98, 99]);
});

test('errors keep class, message and cause', () => {
  const error = there(new RangeError('far', { cause: 'near' }));
  assert.ok(error instanceof RangeError);
  assert.deepEqual([error.message, error.cause], ['far', 'near']);
});

test('shared and circular references keep their identity', () => {
  const shared = {};
  const value = { a: shared, b: shared };
  value.self = value;
  const copy = there(value);
  assert.equal(copy.a, copy.b);
  assert.equal(copy.self, copy);
});

test('names that JavaScript treats in its own way are kept', () => {
  const value = JSON.parse('{"__proto__":{"x":1}}');
  const copy = there(value);
  assert.deepEqual(Object.keys(copy), ['__proto__']);
  assert.equal(copy.x, undefined);
});

test('what cannot be stored is refused', () => {
  class Own {}
  assert.throws(() => encode(() => 1, 'value'), /a function cannot be stored/);
  assert.throws(() => encode(new Own(), 'value'), /an object of type "Own"/);
  assert.throws(() => encode(Symbol('s'), 'value'), /Symbol\(s\)/);
});
