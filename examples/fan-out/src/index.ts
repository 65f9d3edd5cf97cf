import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";

interface Params {
  parts?: number;
}

/** Splits work into parallel steps and gathers their results. Each part is kept as soon as it is done. */
export class FanOut extends WorkflowEntrypoint<unknown, Params> {
  async run(event: WorkflowEvent<Params>, step: WorkflowStep) {
    const parts = event.payload.parts ?? 50;
    const squares = await Promise.all(
      Array.from({ length: parts }, (_, part) => step.do(`part ${part}`, async () => part * part)),
    );
    const sum = await step.do("sum", async () => squares.reduce((total, square) => total + square, 0));
    return { parts, sum };
  }
}

export default {
  fetch: () => new Response("Sums are started as workflow instances.\n"),
};
