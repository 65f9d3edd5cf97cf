// The connection to cairn: one WebSocket, frames of messages (PROTOCOL.md).

import { WorkerEntrypoint } from 'cloudflare:workers';
import { describe } from './errors.js';
import './log.js';
import {
  keys,
  listen,
  OwnMap,
  parse,
  ResponseRef,
  socketAccept,
  socketClose,
  socketSend,
  stringify,
  WebSocketPairRef,
} from './primordials.js';
import { isWorkflow, Run } from './run.js';
import { Streams } from './stream.js';

// A run goes on some microtasks after its step has settled: a frame waits for that many without a new message, so
// that what all runs do in one turn travels together.
const HOPS = 12;
// … unless it has become this long (UTF-16 units).
const LARGEST_FRAME = 4 * 1024 * 1024;

class Connection {
  runs = new OwnMap();
  streams = new Streams();
  #out = '';
  #fresh = false;
  #open = true;
  #socket;
  #user;
  #ctx;
  #env;

  constructor(socket, user, ctx, env) {
    this.#socket = socket;
    this.#user = user;
    this.#ctx = ctx;
    this.#env = env;
  }

  hello() {
    const exports = keys(this.#user);
    const workflows = [];
    for (let i = 0; i < exports.length; i++) {
      if (isWorkflow(this.#user[exports[i]])) workflows[workflows.length] = exports[i];
    }
    this.post(`["hello",${stringify({ exports, workflows })}]`);
    this.#flush();
  }

  post(message) {
    if (this.#out === '') {
      this.#out = message;
      this.#flushSoon();
    } else {
      this.#out += `,${message}`;
    }
    this.#fresh = true;
    if (this.#out.length > LARGEST_FRAME) this.#flush();
  }

  // Hops by `await`: queueMicrotask goes through the host, which costs more than all else in a turn.
  async #flushSoon() {
    for (let hops = 0; hops < HOPS; hops++) {
      if (this.#fresh) hops = 0;
      this.#fresh = false;
      await undefined;
      if (this.#out === '') return;
    }
    try {
      this.#flush();
    } catch (error) {
      this.fail(error);
    }
  }

  #flush() {
    const frame = `[${this.#out}]`;
    this.#out = '';
    if (this.#open) socketSend(this.#socket, frame);
  }

  receive(frame) {
    const messages = parse(frame);
    for (let i = 0; i < messages.length; i++) this.#handle(messages[i]);
  }

  #handle(message) {
    const kind = message[0];
    const id = message[1];
    if (kind === 'ping') {
      this.post(`["pong",${id}]`);
      return;
    }
    if (kind === 'start') {
      const started = new Run(this, message);
      this.runs.set(id, started);
      this.#learn(started, message[5], message[6]);
      return;
    }
    if (kind === 'credit') {
      this.streams.credit(id);
      return;
    }
    const run = this.runs.get(id);
    if (run === undefined) return;
    switch (kind) {
      case 'steps':
        this.#learn(run, message[2], message[3]);
        break;
      case 'hold':
        run.held = true;
        break;
      case 'unhold':
        run.held = false;
        break;
      case 'stop':
        run.end();
        break;
      case 'piece':
        this.streams.answer(message);
        break;
      case 'rollback':
        run.undo(message);
        break;
      default:
        run.settle(kind, message);
    }
  }

  #learn(run, steps, more) {
    run.learn(steps);
    if (more === 0) run.begin(this.#user[run.className], this.#ctx, this.#env);
  }

  close() {
    this.#open = false;
    this.runs.forEach((run) => run.end());
  }

  // The shim has failed: cairn ends the process when the socket closes.
  fail(error) {
    this.close();
    console.error('the shim failed:', error);
    socketClose(this.#socket, 1011, stringify(describe(error)[1]).slice(0, 100));
  }
}

// The entrypoint that cairn connects to, for the module of the user.
export const host = (user) =>
  class extends WorkerEntrypoint {
    fetch() {
      // Not for user code, which finds all else that the main module exports there.
      if (this.ctx.exports !== undefined) {
        delete this.ctx.exports.__CairnHost;
        delete this.ctx.exports.__CairnScheduled;
      }
      const { 0: client, 1: socket } = new WebSocketPairRef();
      const connection = new Connection(socket, user, this.ctx, this.env);
      socketAccept(socket);
      listen(socket, 'message', ({ data }) => {
        try {
          connection.receive(data);
        } catch (error) {
          connection.fail(error);
        }
      });
      listen(socket, 'close', () => connection.close());
      connection.hello();
      return new ResponseRef(null, { status: 101, webSocket: client });
    }
  };
