// What the tests of machine faults run: steps with an effect outside, between naps. It returns what it saw of each step.
import { WorkflowEntrypoint } from "cloudflare:workers";

export class Steady extends WorkflowEntrypoint {
  async run(event, step) {
    const { recorder, rounds, nap = 50, large = 0, flaky = false, delay = 20, wait = false } = event.payload;
    const seen = {};
    for (let round = 0; round < rounds; round++) {
      const name = `act ${round}`;
      const patient = { retries: { limit: 1000, delay, backoff: "constant" } };
      seen[name] = await step.do(name, patient, async ({ attempt }) => {
        const nonce = crypto.randomUUID();
        await fetch(recorder, { method: "POST", body: JSON.stringify({ instance: event.instanceId, step: name, nonce }) });
        if (flaky && attempt === 1) throw new Error("the first attempt fails");
        return nonce;
      });
      if (large > 0) await step.do(`large ${round}`, async () => "x".repeat(large));
      if (nap !== 0) await step.sleep(`nap ${round}`, nap);
    }
    if (wait) await step.waitForEvent("go", { type: "go", timeout: "2 hours" });
    return seen;
  }
}

export default { fetch: () => new Response("ok") };
