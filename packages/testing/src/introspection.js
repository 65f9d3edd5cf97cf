// Introspection of instances: modifiers, waits, results. The names are Cloudflare's.

import { decode, encode } from './value.js';

// How long one request waits; then the next one is sent.
const POLL_MILLIS = 5_000;
const TIMEOUT_MILLIS = 60_000;

const selector = ({ name, index }) => (index === undefined ? { name } : { name, index });
const selection = (steps) => (steps === undefined ? {} : { steps: steps.map(selector) });
const some = (times) => (times === undefined ? {} : { times });
const named = (error) => ({ name: `${error?.name ?? 'Error'}`, message: `${error?.message ?? error}` });

function thrown({ name, message }) {
  const error = new Error(message);
  error.name = name;
  return error;
}

// What is sent one after the other, so that what was asked for first is there first, awaited or not.
class Modifier {
  #send;
  #last = Promise.resolve();

  constructor(send) {
    this.#send = send;
  }

  #add(modifier) {
    const sent = this.#last.then(() => this.#send([modifier]));
    this.#last = sent;
    // `modify` tells of it, too.
    sent.catch(() => {});
    return sent;
  }

  sent() {
    return this.#last;
  }

  disableSleeps(steps) {
    return this.#add({ disableSleeps: selection(steps) });
  }

  disableRetryDelays(steps) {
    return this.#add({ disableRetryDelays: selection(steps) });
  }

  mockStepResult(step, value) {
    return this.#add({ mockStepResult: { step: selector(step), ...encode(value, 'value') } });
  }

  mockStepError(step, error, times) {
    return this.#add({ mockStepError: { step: selector(step), error: named(error), ...some(times) } });
  }

  forceStepTimeout(step, times) {
    return this.#add({ forceStepTimeout: { step: selector(step), ...some(times) } });
  }

  mockEvent({ type, payload }) {
    return this.#add({ mockEvent: { type, ...encode(payload, 'payload') } });
  }

  forceEventTimeout(step) {
    return this.#add({ forceEventTimeout: { step: selector(step) } });
  }
}

async function modify(change, send) {
  const modifier = new Modifier(send);
  await change(modifier);
  await modifier.sent();
}

export class InstanceIntrospector {
  #client;
  #workflow;
  #path;
  #disposal = new AbortController();

  constructor(client, workflow, id) {
    this.id = id;
    this.#client = client;
    this.#workflow = workflow;
    this.#path = `${client.test(workflow)}/instances/${encodeURIComponent(id)}`;
  }

  async modify(change) {
    await modify(change, (modifiers) => this.#client.request('POST', `${this.#path}/modifiers`, { body: { modifiers } }));
    return this;
  }

  async waitForStepResult(step, options) {
    const { name, index = 1 } = step;
    const query = `name=${encodeURIComponent(name)}&index=${index}`;
    const found = await this.#poll(`step?${query}`, `the result of step '${name}' (index ${index})`, options, (step) => step.is !== 'open');
    switch (found.is) {
      case 'failed':
        throw thrown(found.error);
      case 'event':
        return { type: found.type, timestamp: new Date(found.timestamp), payload: decode(found, 'value') };
      default:
        return decode(found, 'value');
    }
  }

  async waitForStatus(status, options) {
    const word = typeof status === 'object' ? status.status : status;
    await this.#poll(`status?is=${encodeURIComponent(word)}`, `status '${word}'`, options, ({ reached }) => reached);
  }

  async #poll(path, what, { timeout = TIMEOUT_MILLIS } = {}, isThere) {
    const { signal } = this.#disposal;
    const end = performance.now() + timeout;
    const separator = path.includes('?') ? '&' : '?';
    for (;;) {
      const left = Math.max(0, Math.min(POLL_MILLIS, Math.ceil(end - performance.now())));
      const answer = await this.#client.request('GET', `${this.#path}/${path}${separator}wait_ms=${left}`, { signal });
      if (isThere(answer)) return answer;
      if (performance.now() >= end) {
        const now = await this.#client.request('GET', this.#path).then(
          ({ status }) => `it is '${status}'`,
          (error) => error.message,
        );
        throw new Error(`Workflow instance ${this.id} has not come to ${what} within ${timeout} ms; ${now}`);
      }
    }
  }

  async getOutput() {
    const instance = await this.#inStatus('complete', 'output');
    return decode(instance.output, 'value');
  }

  async getError() {
    const { error } = await this.#inStatus('errored', 'error');
    return error;
  }

  async #inStatus(status, what) {
    const instance = await this.#client.request('GET', this.#path);
    if (instance.status === status) return instance;
    throw new Error(
      `[WorkflowIntrospector] The Workflow instance ${this.id} has no ${what}: its status is '${instance.status}'. Await waitForStatus('${status}') first.`,
    );
  }

  /** The instance itself. */
  async get() {
    return new Instance(this.#client, this.#workflow, this.id);
  }

  dispose = async () => {
    this.#disposal.abort(new Error(`The introspection of Workflow instance ${this.id} was disposed of`));
    await this.#client.request('DELETE', this.#path);
  };

  async [Symbol.asyncDispose]() {
    await this.dispose();
  }
}

export class WorkflowIntrospector {
  #client;
  #workflow;
  #path;
  #isDisposed = false;

  constructor(client, workflow, session) {
    this.#client = client;
    this.#workflow = workflow;
    this.#path = `${client.test(workflow)}/sessions/${session}`;
  }

  async modifyAll(change) {
    await modify(change, (modifiers) => this.#client.request('POST', `${this.#path}/modifiers`, { body: { modifiers } }));
  }

  async get() {
    const { instances } = await this.#client.request('GET', this.#path);
    return instances.map((id) => new InstanceIntrospector(this.#client, this.#workflow, id));
  }

  dispose = async () => {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    await this.#client.request('DELETE', this.#path);
  };

  async [Symbol.asyncDispose]() {
    await this.dispose();
  }
}

/** An instance, as a workflow binding gives it. */
export class Instance {
  #client;
  #workflow;

  constructor(client, workflow, id) {
    this.id = id;
    this.#client = client;
    this.#workflow = workflow;
  }

  get #path() {
    return `${this.#client.api(this.#workflow)}/instances/${encodeURIComponent(this.id)}`;
  }

  async status() {
    const path = `${this.#client.test(this.#workflow)}/instances/${encodeURIComponent(this.id)}`;
    const { status, error, output } = await this.#client.request('GET', path);
    return { status, ...(error === null ? {} : { error }), ...(status === 'complete' ? { output: decode(output, 'value') } : {}) };
  }

  async #change(body) {
    await this.#client.request('PATCH', `${this.#path}/status`, { body });
  }

  pause() {
    return this.#change({ status: 'pause' });
  }

  resume() {
    return this.#change({ status: 'resume' });
  }

  terminate({ rollback } = {}) {
    return this.#change({ status: 'terminate', rollback });
  }

  restart({ from } = {}) {
    return this.#change({ status: 'restart', from });
  }

  async sendEvent({ type, payload }) {
    await this.#client.request('POST', `${this.#path}/events/${encodeURIComponent(type)}`, { body: payload });
  }
}

/** A workflow, as a binding to it would be in a Worker. */
export class Workflow {
  #client;

  constructor(client, name) {
    this.name = name;
    this.#client = client;
  }

  async create({ id, params } = {}) {
    const body = { instance_id: id, params };
    const created = await this.#client.request('POST', `${this.#client.api(this.name)}/instances`, { body });
    return new Instance(this.#client, this.name, created.id);
  }

  async createBatch(batch) {
    const body = batch.map(({ id, params }) => ({ instance_id: id, params }));
    const created = await this.#client.request('POST', `${this.#client.api(this.name)}/instances/batch`, { body });
    return created.map(({ id }) => new Instance(this.#client, this.name, id));
  }

  async get(id) {
    const instance = new Instance(this.#client, this.name, id);
    await instance.status();
    return instance;
  }

  async introspectInstance(id) {
    return new InstanceIntrospector(this.#client, this.name, id);
  }

  async introspect() {
    const { session } = await this.#client.request('POST', `${this.#client.test(this.name)}/sessions`);
    return new WorkflowIntrospector(this.#client, this.name, session);
  }
}
