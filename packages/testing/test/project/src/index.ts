import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";

interface Params {
  /** What the test is about. */
  scene: "sleeps" | "fails" | "waits" | "values";
}

/** Nothing outside of it is real: every call of a callback is one too many, but those a test asks for. */
export class Orders extends WorkflowEntrypoint<unknown, Params> {
  async run({ payload }: WorkflowEvent<Params>, step: WorkflowStep) {
    switch (payload.scene) {
      case "sleeps": {
        await step.sleep("a month", "30 days");
        const price = await step.do("price", async () => "the real one");
        await step.sleepUntil("another day", Date.now() + 3 * 86_400_000);
        return { price };
      }
      case "fails": {
        const charge = { retries: { limit: 3, delay: "1 hour", backoff: "constant" }, timeout: "5 minutes" } as const;
        return await step.do("charge", charge, async ({ attempt }) => ({ attempt }));
      }
      case "waits": {
        const decision = await step.waitForEvent<string>("decision", { type: "decided", timeout: "7 days" }).catch(String);
        return typeof decision === "string" ? { late: decision } : { decided: decision.payload };
      }
      case "values": {
        const value = await step.do("value", async (): Promise<any> => new Map([["real", 1n]]));
        return { size: value.size, value };
      }
    }
  }
}
