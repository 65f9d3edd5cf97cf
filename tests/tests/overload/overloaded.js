import { WorkflowEntrypoint } from "cloudflare:workers";

export class Overloaded extends WorkflowEntrypoint {
  async run(event, step) {
    const { steps, millis, wait, filler } = event.payload;
    const nonces = [];
    for (let i = 0; i < steps; i++) {
      nonces.push(await step.do(`step ${i}`, async () => {
        if (millis) await new Promise((done) => setTimeout(done, millis));
        // Something that no second execution would return.
        return crypto.randomUUID();
      }));
    }
    if (wait) await step.waitForEvent("end", { type: "end" });
    return { nonces, bytes: (filler ?? "").length };
  }
}

export default {
  // Creates instances through the binding, and tells what user code sees when that is refused.
  async fetch(request, env) {
    const count = Number(new URL(request.url).searchParams.get("count"));
    const errors = [];
    for (let i = 0; i < count; i++) {
      try {
        await env.FLOW.create({ id: `bound-${i}`, params: { steps: 1, millis: 60000 } });
      } catch (error) {
        errors.push(error.message);
      }
    }
    return Response.json(errors);
  },
};
