// Streams that callbacks return: read piece by piece within the attempt, and given back piece by piece (behaviour §3.2).

import { describe, revive } from './errors.js';
import {
  ArrayBufferRef,
  bytesToBase64,
  fromBase64,
  getReader,
  isLocked,
  isView,
  OwnMap,
  OwnSet,
  PromiseRef,
  ReadableStreamRef,
  readerCancel,
  readerRead,
  setBytes,
  viewBuffer,
  viewBytes,
  viewName,
  viewOffset,
  views,
} from './primordials.js';

// Bytes of a piece (`CHUNK_BYTES` in `src/frame.rs`).
const PIECE = 256 * 1024;
// Bytes of the largest chunk that user code may give.
const LARGEST_CHUNK = 16 * 1024 * 1024;
// Pieces that may be under way each way (`WINDOW` and `PULLS` in `src/workerd/connection.rs`).
const WINDOW = 16;
const PULLS = 16;

const UNREADABLE =
  'Step returned a ReadableStream that is already locked or otherwise unreadable. ' +
  'Return a fresh, unlocked ReadableStream from step.do().';
const OVERSIZED =
  `Step returned a ReadableStream chunk larger than the maximum allowed size of ${LARGEST_CHUNK} bytes. ` +
  'Return smaller chunks from step.do().';
const UNSUPPORTED =
  'Step returned a ReadableStream with unsupported chunk type. Only ArrayBuffer and TypedArray chunks are supported.';

// A stream that cannot be read; it ends the instance.
export class InvalidStream {
  constructor(reason) {
    this.reason = reason;
  }
}

export const isStream = (value) => value instanceof ReadableStreamRef;

// What may be under way at a time, for all streams of a connection. Those that wait are served in order.
class Slots {
  #free;
  #waiting = new OwnSet();

  constructor(free) {
    this.#free = free;
  }

  // Resolves when there is one.
  take() {
    if (this.#free > 0) {
      this.#free--;
      return undefined;
    }
    return new PromiseRef((resolve) => {
      this.#waiting.add(resolve);
    });
  }

  give(count) {
    this.#free += count;
    while (this.#free > 0 && this.#waiting.size > 0) {
      const { value } = this.#waiting.values().next();
      this.#waiting.delete(value);
      this.#free--;
      value();
    }
  }
}

// The streams of a connection.
export class Streams {
  #window = new Slots(WINDOW);
  #pulls = new Slots(PULLS);
  #lastPull = 0;
  // Requests that were not answered.
  #pending = new OwnMap();

  // From a `credit` message.
  credit(count) {
    this.#window.give(count);
  }

  // Reads a stream to its end and sends it. Whether it got there; not when the reading was called off.
  async send(call, attempt, stream) {
    if (isLocked(stream)) throw new InvalidStream(UNREADABLE);
    let reader;
    try {
      reader = getReader(stream);
    } catch {
      throw new InvalidStream(UNREADABLE);
    }
    const reading = new Reading(reader, attempt);
    call.reading = reading;
    try {
      return await this.#read(call, reading);
    } finally {
      if (call.reading === reading) call.reading = null;
      reading.stop();
    }
  }

  async #read(call, reading) {
    const ids = `${call.run.id},${call.id},${reading.attempt}`;
    const piece = new views.Uint8Array(PIECE);
    let filled = 0;
    let chunks = 0;
    let bytes = 0;
    const flush = async () => {
      await this.#window.take();
      if (reading.stopped) {
        this.#window.give(1);
        return;
      }
      const part = filled === PIECE ? piece : new views.Uint8Array(viewBuffer(piece), 0, filled);
      call.run.post(`["chunk",${ids},${chunks},"${bytesToBase64(part)}"]`);
      chunks++;
      bytes += filled;
      filled = 0;
    };
    for (;;) {
      const chunk = await reading.next();
      if (reading.stopped) return false;
      if (chunk === null) break;
      const { buffer, offset, length } = chunk;
      for (let at = 0; at < length; ) {
        const size = length - at < PIECE - filled ? length - at : PIECE - filled;
        setBytes(piece, new views.Uint8Array(buffer, offset + at, size), filled);
        filled += size;
        at += size;
        if (filled === PIECE) await flush();
        if (reading.stopped) return false;
      }
    }
    if (filled > 0) await flush();
    if (reading.stopped) return false;
    reading.hasEnded = true;
    call.run.post(`["streamed",${ids},${chunks},${bytes}]`);
    return true;
  }

  // A stored stream, from its beginning. `step` names it to whoever reads it.
  open(run, step, { stream, chunks, bytes }) {
    let asked = 0;
    let left = bytes;
    let coming = null;
    const ask = () => (asked < chunks ? this.#pull(run, stream, asked++) : null);
    const source = {
      start(controller) {
        if (chunks === 0) controller.close();
      },
      pull: async (controller) => {
        const text = await (coming ?? ask());
        coming = null;
        const piece = text === null ? null : new views.Uint8Array(fromBase64(text));
        left -= piece === null ? 0 : viewBytes(piece);
        if (piece === null || left < 0 || (asked === chunks && left !== 0)) {
          const message = `Stored output for ${step} is corrupt or incomplete.`;
          controller.error(revive(['WorkflowInternalError', message]));
          return;
        }
        coming = ask();
        controller.enqueue(piece);
        if (coming === null) controller.close();
      },
      cancel() {
        asked = chunks;
        coming = null;
      },
    };
    return new ReadableStreamRef(source, { highWaterMark: 0 });
  }

  // A piece as base64; null when it is gone.
  async #pull(run, stream, index) {
    await this.#pulls.take();
    if (run.ended) {
      this.#pulls.give(1);
      return null;
    }
    const pull = ++this.#lastPull;
    run.post(`["pull",${run.id},${pull},${stream},${index}]`);
    return new PromiseRef((resolve) => {
      this.#pending.set(pull, { run, resolve });
    });
  }

  // From a `piece` message.
  answer([, , pull, text]) {
    const pending = this.#pending.get(pull);
    if (pending === undefined) return;
    this.#pending.delete(pull);
    this.#pulls.give(1);
    pending.resolve(text);
  }

  // Nobody answers a run that has ended.
  forget(run) {
    this.#pending.forEach((pending, pull) => {
      if (pending.run !== run) return;
      this.#pending.delete(pull);
      this.#pulls.give(1);
    });
  }
}

// A stream that is being read.
class Reading {
  stopped = false;
  hasEnded = false;
  #reader;

  constructor(reader, attempt) {
    this.#reader = reader;
    this.attempt = attempt;
  }

  // The bytes of the next chunk; null at the end.
  async next() {
    let chunk;
    try {
      chunk = await readerRead(this.#reader);
    } catch (error) {
      throw new InvalidStream(`Failed to read from step ReadableStream output. ${describe(error)[1]}`);
    }
    if (chunk.done) return null;
    const { value } = chunk;
    const bytes = bytesOf(value);
    if (bytes === null) throw new InvalidStream(UNSUPPORTED);
    if (bytes.length > LARGEST_CHUNK) throw new InvalidStream(OVERSIZED);
    return bytes;
  }

  // Nobody wants what has not been read.
  stop() {
    if (this.stopped || this.hasEnded) return;
    this.stopped = true;
    readerCancel(this.#reader).catch(() => {});
  }
}

function bytesOf(value) {
  if (value instanceof ArrayBufferRef) {
    return { buffer: value, offset: 0, length: viewBytes(new views.Uint8Array(value)) };
  }
  if (!isView(value) || viewName(value) === undefined) return null;
  return { buffer: viewBuffer(value), offset: viewOffset(value), length: viewBytes(value) };
}
