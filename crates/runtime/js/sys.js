// Cairn's own Worker beside the user's, in an isolate of its own: what the workflow bindings of user code talk to (behaviour §5).
// It hands each call to cairn over HTTP on a socket of this process.

import { WorkerEntrypoint } from 'cloudflare:workers';
import { Subscription, subscriptionText } from './subscription.js';
import { decode, encode } from './value.js';

// Its name is part of the message, as it is for errors with names of their own that cross from one Worker to another.
class WorkflowError extends Error {
  constructor(message) {
    super(`WorkflowError: ${message}`);
  }
}

const unsupported = (what) => new WorkflowError(`(body) ${what} is not supported by this version of Cairn`);

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

function optionsText(options) {
  if (options === undefined || options === null) return '{}';
  if (!isObject(options)) throw new WorkflowError('(body) Provided argument is invalid');
  const { id, params, retention } = options;
  const parts = [];
  if (id !== undefined) {
    if (typeof id !== 'string') throw new WorkflowError('Workflow instance has invalid id');
    parts.push(`"id":${JSON.stringify(id.toWellFormed())}`);
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
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value);
  if (typeof value === 'string') return JSON.stringify(value.toWellFormed());
  throw new WorkflowError(
    "(body) Duration must be a number or a string in format '{{number}} {{unit}}' where unit is second, minute, hour, day, week, month or year",
  );
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

  #one(method, id) {
    return this.#call(method, `,"id":${idText(id)}`);
  }

  async getInstance(id) {
    const { ids } = await this.#one('get', id);
    return { id: ids[0] };
  }

  async create(options) {
    const { ids } = await this.#call('create', `,"options":[${optionsText(options)}]`);
    return { id: ids[0] };
  }

  async createBatch(options) {
    if (Array.isArray(options)) {
      const ids = await this.#createAll(options);
      return ids.map((id) => ({ id }));
    }
    return this.#createEach(options);
  }

  async #createAll(options) {
    if (options.length === 0) throw new WorkflowError('batchCreate should have at least 1 instance');
    if (options.length > 100) throw new WorkflowError('batchCreate only supports 100 instances at a time');
    const { ids } = await this.#call('createBatch', `,"options":[${options.map(optionsText).join()}]`);
    return ids;
  }

  // The object form tells for each instance what became of it.
  async #createEach(options) {
    if (!isObject(options)) throw new WorkflowError('(body) Provided argument is invalid');
    const instances = expand(options).map((item) => ({ ...item, id: item?.id ?? crypto.randomUUID() }));
    const seen = new Set();
    const first = instances.filter(({ id }) => !seen.has(id) && seen.add(id));
    const createdIds = new Set(await this.#createAll(first));
    const created = [];
    const errors = [];
    instances.forEach((instance, index) => {
      const { id } = instance;
      if (!first.includes(instance)) {
        errors.push({ index, id, code: 10415, message: 'workflows.api.error.instance.duplicate_in_batch' });
      } else if (createdIds.has(id)) {
        created.push({ id });
      } else {
        errors.push({ index, id, code: 10405, message: 'workflows.api.error.instance.already_exists' });
      }
    });
    return { created, errors };
  }

  async deleteBatch({ instances }) {
    if (!Array.isArray(instances) || instances.length === 0 || instances.length > 100) {
      throw new WorkflowError('(body) deleteBatch takes 1 to 100 instance ids');
    }
    if (!instances.every((id) => typeof id === 'string')) throw new WorkflowError('(instance.invalid_id) Instance ID is invalid');
    const outcomes = new Map();
    for (const id of instances) {
      if (!outcomes.has(id)) outcomes.set(id, await this.#deleted(id));
    }
    const deleted = [];
    const errors = [];
    for (const id of instances) {
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
    await this.#one('delete', id);
  }

  async pause(id) {
    await this.#one('pause', id);
  }

  async resume(id) {
    await this.#one('resume', id);
  }

  async terminate(id, options) {
    if (options?.rollback) throw unsupported('terminate({ rollback: true })');
    await this.#one('terminate', id);
  }

  async restart(id, options) {
    if (options?.from !== undefined) throw unsupported('restart({ from })');
    await this.#one('restart', id);
  }

  async status(id) {
    const { status, error, output } = await this.#one('status', id);
    return {
      status,
      ...(error === undefined ? {} : { error }),
      output: output === undefined ? null : decode(output[0], output[1]),
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
    if (response.ok) return new Subscription(response.body, failureOf);
    throw failureOf((await response.json()).failure);
  }
}

// The options of each instance that a batch in object form asks for.
function expand({ instances, count, params, retention }) {
  if (instances !== undefined) {
    if (!Array.isArray(instances)) throw new WorkflowError('(body) Provided argument is invalid');
    if (instances.length === 0 || instances.length > 100) throw new WorkflowError('(body) Batch size exceeds maximum allowed');
    return instances;
  }
  if (!Number.isSafeInteger(count) || count < 1) throw new WorkflowError('(body) count must be a positive integer');
  if (count > 100) throw new WorkflowError('(body) batchCreate only supports 100 instances at a time');
  return Array.from({ length: count }, () => ({ params, retention }));
}

export default {};
