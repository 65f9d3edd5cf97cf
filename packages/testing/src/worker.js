// Requests to Workers, which a server knows by their host names.

import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';

const NO_BODY = new Set([101, 204, 205, 304]);

/** Sends a request to a Worker. The name need not be one that this machine resolves. */
export async function fetchWorker(url, worker, path, init) {
  const { hostname, port } = new URL(url);
  const host = `${worker}.localhost:${port}`;
  const request = new Request(new URL(path, `http://${host}`), init);
  const body = Buffer.from(await request.arrayBuffer());
  const { pathname, search } = new URL(request.url);
  const headers = { ...Object.fromEntries(request.headers), host, 'content-length': body.length };
  return new Promise((resolve, reject) => {
    const options = { hostname, port, method: request.method, path: pathname + search, headers, signal: request.signal };
    const sent = httpRequest(options, (answer) => {
      const answered = new Headers();
      for (let i = 0; i < answer.rawHeaders.length; i += 2) answered.append(answer.rawHeaders[i], answer.rawHeaders[i + 1]);
      const stream = NO_BODY.has(answer.statusCode) ? null : Readable.toWeb(answer);
      resolve(new Response(stream, { status: answer.statusCode, statusText: answer.statusMessage, headers: answered }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
