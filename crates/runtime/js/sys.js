// Cairn's own Worker beside the user's, in an isolate of its own: what the workflow bindings of user code talk to (behaviour §5).
// It hands each call to cairn over HTTP on a socket of this process.

import { DurableObject, WorkerEntrypoint } from 'cloudflare:workers';
import { Subscription, subscriptionText } from './subscription.js';
import { decode, encode } from './value.js';

// Its name is part of the message, as it is for errors with names of their own that cross from one Worker to another.
class WorkflowError extends Error {
  constructor(message) {
    super(`WorkflowError: ${message}`);
  }
}

const INVALID_SUBSCRIPTION = 'Invalid Workflow subscription options';

// Two messages come as they are (behaviour §5, §7).
const failureOf = (message) =>
  message === 'instance.not_found' || message === INVALID_SUBSCRIPTION ? new Error(message) : new WorkflowError(message);

// A value as the JSON text `[form, body]`.
function wire(value, what) {
  try {
    const [form, body] = encode(value);
    return `["${form}",${body}]`;
  } catch {
    throw new WorkflowError(`(body) ${what} cannot be serialized`);
  }
}

const isObject = (value) => typeof value === 'object' && value !== null;

const LARGEST_BATCH = 100;
// UTF-16 units of all options of a batch together (behaviour §4).
const LONGEST_BATCH = 1024 * 1024;
const LOCATIONS = ['wnam', 'weur', 'enam', 'eeur', 'apac', 'apac-ne', 'apac-se', 'oc', 'sam', 'afr', 'me'];

const ID = /^[a-zA-Z0-9_][a-zA-Z0-9_-]{0,99}$/;
const RESERVED_ID = /^(batch|terminate|terminateAll|cf_[0-9a-f]{64})$/;
const STEP_TYPES = ['do', 'sleep', 'waitForEvent'];
const ADDRESS = /^[a-zA-Z0-9, */#_-]{1,271}$/;

const isNewId = (id) => typeof id === 'string' && ID.test(id) && !RESERVED_ID.test(id);
const isAddress = (id) => typeof id === 'string' && ADDRESS.test(id);
const invalidNewId = () => new WorkflowError('Workflow instance has invalid id');
const invalidId = () => new WorkflowError('(instance.invalid_id) Instance ID is invalid');

// `invalid` makes the error for an id that cannot be one. Where instances are placed is asked for in vain: there is one place.
function optionsText(options, invalid) {
  if (options === undefined || options === null) return '{}';
  if (!isObject(options)) throw new WorkflowError('(body) Provided argument is invalid');
  const { id, params, retention } = options;
  const parts = [];
  if (id !== undefined) {
    if (!isNewId(id)) throw invalid();
    parts.push(`"id":"${id}"`);
  }
  if (params !== undefined) parts.push(`"params":${wire(params, 'params')}`);
  if (isObject(retention)) {
    for (const key of ['successRetention', 'errorRetention']) {
      if (retention[key] !== undefined) parts.push(`"${key}":${durationText(retention[key])}`);
    }
  }
  return `{${parts.join()}}`;
}

function durationText(value) {
  if (Number.isSafeInteger(value) && value > 0) return JSON.stringify(value);
  if (typeof value === 'string') return JSON.stringify(value.toWellFormed());
  throw new WorkflowError(
    "(body) Duration must be a number or a string in format '{{number}} {{unit}}' where unit is second(s), minute(s), etc.",
  );
}

function batchText(all, invalid) {
  const text = all.map((options) => optionsText(options, invalid)).join();
  if (text.length > LONGEST_BATCH) throw new WorkflowError('(body) Batch size exceeds maximum allowed');
  return text;
}

const idText = (id) => JSON.stringify(String(id).toWellFormed());

export class WorkflowBinding extends WorkerEntrypoint {
  #fetch(method, rest) {
    const workflow = JSON.stringify(this.ctx.props.workflow);
    return this.env.cairn.fetch('http://cairn/', {
      method: 'POST',
      body: `{"workflow":${workflow},"method":"${method}"${rest}}`,
    });
  }

  async #call(method, rest) {
    const response = await this.#fetch(method, rest);
    const reply = await response.json();
    if (reply.failure === undefined) return reply;
    throw failureOf(reply.failure);
  }

  async #stream(id, entry) {
    const response = await this.#fetch('stream', `,"id":${idText(id)},"entry":${entry}`);
    if (response.ok) return response.body;
    throw failureOf((await response.json()).failure);
  }

  #one(method, id) {
    return this.#call(method, `,"id":${idText(id)}`);
  }

  async getInstance(id) {
    const { ids } = await this.#one('get', id);
    return { id: ids[0] };
  }

  async create(options) {
    const { ids } = await this.#call('create', `,"options":[${optionsText(options, invalidNewId)}]`);
    return { id: ids[0] };
  }

  async createBatch(options) {
    if (!isObject(options)) throw new WorkflowError('(body) Provided argument is invalid');
    if (Array.isArray(options)) return this.#createAll(options);
    return 'count' in options ? this.#createCount(options) : this.#createEach(options.instances);
  }

  // The form that leaves out in silence what exists.
  async #createAll(all) {
    if (all.length === 0) throw new WorkflowError('batchCreate should have at least 1 instance');
    if (all.length > LARGEST_BATCH) throw new WorkflowError('batchCreate only supports 100 instances at a time');
    const { ids } = await this.#call('createBatch', `,"options":[${batchText(all, invalidNewId)}]`);
    return ids.map((id) => ({ id }));
  }

  async #createCount(options) {
    const { count, params, retention } = options;
    if (!Number.isSafeInteger(count) || count < 1) throw new WorkflowError('(body) count must be a positive integer');
    if (count > LARGEST_BATCH) throw new WorkflowError('(body) batchCreate only supports 100 instances at a time');
    checkEntry(options);
    const { ids } = await this.#call('createBatch', `,"options":[${batchText([{ params, retention }], invalidId)}],"count":${count}`);
    return { created: ids.map((id) => ({ id })), errors: [] };
  }

  // The form that tells for each instance what became of it.
  async #createEach(given) {
    if (!Array.isArray(given)) throw new WorkflowError('(body) Provided argument is invalid');
    if (given.length === 0 || given.length > LARGEST_BATCH) throw new WorkflowError('(body) Batch size exceeds maximum allowed');
    given.forEach(checkEntry);
    const instances = given.map((entry) => ({ ...entry, id: entry.id ?? crypto.randomUUID() }));
    const seen = new Set();
    const first = instances.filter(({ id }) => !seen.has(id) && seen.add(id));
    const { ids } = await this.#call('createBatch', `,"options":[${batchText(first, invalidId)}]`);
    const made = new Set(ids);
    const created = [];
    const errors = [];
    instances.forEach((instance, index) => {
      const { id } = instance;
      if (!first.includes(instance)) {
        errors.push({ index, id, code: 10415, message: 'workflows.api.error.instance.duplicate_in_batch' });
      } else if (made.has(id)) {
        created.push({ id });
      } else {
        errors.push({ index, id, code: 10405, message: 'workflows.api.error.instance.already_exists' });
      }
    });
    return { created, errors };
  }

  async deleteBatch(options) {
    const ids = options?.instances;
    if (!Array.isArray(ids)) throw new WorkflowError('(body) Provided argument is invalid');
    if (ids.length > LARGEST_BATCH) {
      throw new WorkflowError('(body) batchDeleteInstances only supports 100 instances at a time');
    }
    if (ids.length === 0) throw new WorkflowError('(body) batchDeleteInstances should have at least 1 instance');
    if (!ids.every(isAddress)) throw invalidId();
    const unique = [...new Set(ids)];
    const outcomes = new Map(await Promise.all(unique.map(async (id) => [id, await this.#deleted(id)])));
    const deleted = [];
    const errors = [];
    for (const id of ids) {
      const error = outcomes.get(id);
      if (error === null) deleted.push({ id });
      else errors.push({ id, ...error });
    }
    return { deleted, errors };
  }

  async #deleted(id) {
    try {
      await this.#one('delete', id);
      return null;
    } catch (error) {
      if (error.message.includes('instance.not_found')) {
        return { code: 10400, message: 'workflows.api.error.instance.not_found' };
      }
      return { code: 10001, message: 'workflows.api.error.internal_server' };
    }
  }

  async deleteInstance(id) {
    if (!isAddress(id)) throw invalidId();
    await this.#one('delete', id);
  }

  async pause(id) {
    await this.#one('pause', id);
  }

  async resume(id) {
    await this.#one('resume', id);
  }

  async terminate(id, options) {
    await this.#call('terminate', `,"id":${idText(id)}${options?.rollback ? ',"rollback":true' : ''}`);
  }

  async restart(id, options) {
    const from = options?.from;
    if (from === undefined || from === null) {
      await this.#one('restart', id);
      return;
    }
    const { name, count = 1, type = 'do' } = from;
    if (typeof name !== 'string' || !Number.isSafeInteger(count) || count < 1 || !STEP_TYPES.includes(type)) {
      // A missing instance is told first.
      await this.getInstance(id);
      throw new WorkflowError(`(instance.cannot_restart) Step "${String(name)}" not found in execution history`);
    }
    const step = `{"name":${JSON.stringify(name.toWellFormed())},"count":${count},"type":"${type}"}`;
    await this.#call('restart', `,"id":${idText(id)},"from":${step}`);
  }

  async status(id) {
    const { status, error, output, rollback } = await this.#one('status', id);
    return {
      status,
      ...(error === undefined ? {} : { error }),
      output: output === undefined ? null : (decode(output[0], output[1]) ?? null),
      ...(rollback === undefined ? {} : { rollback }),
    };
  }

  async sendEvent(id, { type, payload }) {
    if (typeof type !== 'string') {
      throw new WorkflowError('(workflow.invalid_event_type) The event type must be a string');
    }
    const event = `,"type":${JSON.stringify(type.toWellFormed())},"payload":${wire(payload, 'payload')}`;
    await this.#call('sendEvent', `,"id":${idText(id)}${event}`);
  }

  async subscribe(id, options = {}) {
    const asked = subscriptionText(options);
    if (asked === null) {
      // A missing instance is told first.
      await this.getInstance(id);
      throw failureOf(INVALID_SUBSCRIPTION);
    }
    const response = await this.#fetch('subscribe', `,"id":${idText(id)}${asked}`);
    if (!response.ok) throw failureOf((await response.json()).failure);
    return new Subscription(response.body, { failureOf, open: (entry) => this.#stream(id, entry) });
  }
}

// What is checked of an entry of a batch before anything is created.
function checkEntry(entry) {
  if (!isObject(entry) || Array.isArray(entry)) {
    const received = Array.isArray(entry) ? 'array' : entry === null ? 'null' : typeof entry;
    throw new WorkflowError(`(body) Invalid input: expected object, received ${received}`);
  }
  const { locationHint } = entry;
  if (locationHint !== undefined && !LOCATIONS.includes(locationHint)) {
    const names = LOCATIONS.map((name) => `"${name}"`).join('|');
    throw new WorkflowError(`(body) Invalid option: expected one of ${names}`);
  }
}

export { Tail } from './tail.js';

// workerd wants a class to keep instances in where a Worker has workflows in `ctx.exports`. It is never used.
export class Engine extends DurableObject {}

export default {};
