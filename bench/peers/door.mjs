// An HTTP door for engines that are libraries: what the bench's load generator asks on each of them.
//
//   POST /start  {"steps":n}  answers once the creation is durable
//   POST /run    {"steps":n}  answers once the instance has come to its end

import http from "node:http";

/** Listens on a port of 127.0.0.1. `start` and `run` take the number of steps. */
export function open(port, { start, run }) {
  const doors = { "/start": start, "/run": run };
  const server = http.createServer(async (request, response) => {
    try {
      const door = doors[request.url];
      if (!door) return answer(response, 404, { error: `no such path: ${request.url}` });
      const { steps } = JSON.parse(await read(request));
      answer(response, 200, await door(steps));
    } catch (error) {
      answer(response, 500, { error: String(error?.stack ?? error) });
    }
  });
  // The load generator keeps its connections for as long as it needs them.
  server.keepAliveTimeout = 0;
  server.listen({ port, host: "127.0.0.1", backlog: 2048 });
}

async function read(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return text;
}

function answer(response, status, value) {
  const body = JSON.stringify(value);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}
