import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";

interface Params {
  rows?: number;
}

const ROWS_AT_ONCE = 1_000;

/** A table as text, made as fast as it is read. */
function table(rows: number): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let next = 0;
  return new ReadableStream({
    pull(controller) {
      let text = next === 0 ? "number,square\n" : "";
      const end = Math.min(rows, next + ROWS_AT_ONCE);
      for (; next < end; next++) text += `${next},${next * next}\n`;
      controller.enqueue(encoder.encode(text));
      if (next === rows) controller.close();
    },
  });
}

/** One step returns a stream, the next reads it: the table is never whole in memory, and is made only once. */
export class Export extends WorkflowEntrypoint<unknown, Params> {
  async run(event: WorkflowEvent<Params>, step: WorkflowStep) {
    const made = await step.do("make the table", async () => table(event.payload.rows ?? 100_000));
    return await step.do("count", async () => {
      let bytes = 0;
      let lines = 0;
      for await (const chunk of made) {
        bytes += chunk.byteLength;
        for (const byte of chunk) if (byte === 10) lines++;
      }
      return { bytes, lines };
    });
  }
}
