// A service to try the saga with: `node booking.mjs`. Flights and hotels are to be had, cars are not.
import { createServer } from "node:http";

const numbers = new Map();

createServer((request, response) => {
  request.resume();
  const key = request.headers["idempotency-key"];
  const [, kind, cancel] = request.url.split("/");
  if (cancel === undefined && kind === "car") {
    console.log("car: none left");
    response.writeHead(409).end();
    return;
  }
  if (!numbers.has(key)) numbers.set(key, `${kind}-${numbers.size + 1}`);
  console.log(cancel === undefined ? `${numbers.get(key)}: booked` : `${numbers.get(key)}: cancelled`);
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ booking: numbers.get(key) }));
}).listen(9000, "127.0.0.1", () => console.log("booking at http://127.0.0.1:9000"));
