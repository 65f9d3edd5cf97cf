// Tests of Cloudflare Workflows that run on Cairn. The names are those of `cloudflare:test` where it has one.

import { CairnError, Client } from './client.js';
import { Workflow } from './introspection.js';
import { startServer } from './server.js';
import { fetchWorker } from './worker.js';

export { CairnError };

class Clock {
  #client;

  constructor(client) {
    this.#client = client;
  }

  async now() {
    const { now } = await this.#client.request('GET', '/cairn/v1/test/clock');
    return new Date(now);
  }

  async advance(duration) {
    const { now } = await this.#client.request('POST', '/cairn/v1/test/clock', { body: { advance: duration } });
    return new Date(now);
  }
}

class Cairn {
  #client;
  #stop;

  constructor(client, stop) {
    this.#client = client;
    this.#stop = stop;
    this.url = client.url;
    this.clock = new Clock(client);
  }

  workflow(name) {
    return new Workflow(this.#client, name);
  }

  fetch(worker, path, init) {
    return fetchWorker(this.url, worker, path, init);
  }

  introspectWorkflowInstance(workflow, id) {
    return this.workflow(workflow).introspectInstance(id);
  }

  introspectWorkflow(workflow) {
    return this.workflow(workflow).introspect();
  }

  stop = async () => {
    await this.#stop();
  };

  async [Symbol.asyncDispose]() {
    await this.stop();
  }
}

/** A server that runs already, such as a `cairn dev` in another terminal. */
export function connect({ url = 'http://127.0.0.1:8787', account, token } = {}) {
  return new Cairn(new Client(url, { account, token }), async () => {});
}

/** Starts `cairn dev` for a project, with data of its own; stop it at the end. */
export async function startCairn(project, options) {
  const { url, stop } = await startServer(project, options);
  return new Cairn(new Client(url), stop);
}

/** Introspects one instance, which need not exist yet. */
export const introspectWorkflowInstance = (workflow, id) => workflow.introspectInstance(id);

/** Introspects all instances of a workflow that are created from now on. */
export const introspectWorkflow = (workflow) => workflow.introspect();
