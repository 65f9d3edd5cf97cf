// Requests to a server, and its errors.

/** A request that the server did not carry out. */
export class CairnError extends Error {
  name = 'CairnError';

  constructor(message, code, status) {
    super(message);
    /** The number of the error in the API's table. */
    this.code = code;
    /** The HTTP status. */
    this.status = status;
  }
}

export class Client {
  constructor(url, { account = 'local', token } = {}) {
    this.url = `${url}`.replace(/\/+$/, '').replace(/\/client\/v4$/, '');
    this.account = account;
    this.token = token;
  }

  /** The path of a workflow in Cairn's routes for tests. */
  test(workflow) {
    return `/cairn/v1/test/accounts/${encodeURIComponent(this.account)}/workflows/${encodeURIComponent(workflow)}`;
  }

  /** The path of a workflow in Cloudflare's API. */
  api(workflow) {
    return `/client/v4/accounts/${encodeURIComponent(this.account)}/workflows/${encodeURIComponent(workflow)}`;
  }

  async request(method, path, { body, signal } = {}) {
    const headers = {};
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (this.token !== undefined) headers.authorization = `Bearer ${this.token}`;
    const text = body === undefined ? undefined : JSON.stringify(body);
    let response;
    try {
      response = await fetch(this.url + path, { method, headers, body: text, signal });
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw new Error(`Cairn does not answer at ${this.url}: is \`cairn dev\` running there?`, { cause: error });
    }
    const answer = await response.json().catch(() => undefined);
    if (answer?.success === true) return answer.result;
    const [error] = answer?.errors ?? [];
    if (error === undefined) throw new Error(`${method} ${this.url}${path} was answered with ${response.status} and no JSON`);
    if (error.code === 7003 && path.startsWith('/cairn/')) {
      const message = `The server at ${this.url} has no routes for tests: \`cairn dev\` and \`cairn run\` have, \`cairn serve\` has not`;
      throw new CairnError(message, error.code, response.status);
    }
    throw new CairnError(answer.messages?.[0] ?? error.message, error.code, response.status);
  }
}
