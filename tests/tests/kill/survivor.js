// What the kill test runs: steps with an effect outside, retries, parallel steps, sleeps, an event. It returns what it saw of each step.
import { WorkflowEntrypoint } from "cloudflare:workers";

const PATIENT = { retries: { limit: 1000, delay: 20, backoff: "constant" } };

export class Survivor extends WorkflowEntrypoint {
  async run(event, step) {
    const { recorder, naps } = event.payload;
    const seen = {};

    /** Has an effect outside under a name that was never used before, and returns that name. */
    const act = async (name) => {
      const nonce = crypto.randomUUID();
      const response = await fetch(recorder, {
        method: "POST",
        body: JSON.stringify({ instance: event.instanceId, step: `${name}-1`, nonce }),
      });
      if (!response.ok) throw new Error(`the recorder answered ${response.status}`);
      return nonce;
    };
    const simple = async (name) => {
      seen[`${name}-1`] = await step.do(name, PATIENT, () => act(name));
    };

    for (const [round, nap] of naps.entries()) {
      await simple(`act ${round}`);
      await step.sleep(`nap ${round}`, nap);
      const name = `flaky ${round}`;
      seen[`${name}-1`] = await step.do(name, PATIENT, async ({ attempt }) => {
        const nonce = await act(name);
        if (attempt === 1) throw new Error("the first attempt fails");
        return nonce;
      });
      await Promise.all([simple(`left ${round}`), simple(`right ${round}`)]);
    }
    const go = await step.waitForEvent("go", { type: "go", timeout: "1 hour" });
    await simple("last");
    return { seen, event: go.payload };
  }
}

export default { fetch: () => new Response("ok") };
