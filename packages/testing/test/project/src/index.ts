import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";

interface Params {
  /** What the test is about. */
  scene: "sleeps" | "fails" | "waits" | "values";
}

interface Env {
  ORDERS: Workflow<Params>;
}

/** Nothing outside of it is real: every call of a callback is one too many, but those a test asks for. */
export class Orders extends WorkflowEntrypoint<Env, Params> {
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

export default {
  async fetch(request: Request, env: Env) {
    const params = await request.json<Params>();
    const { id } = await env.ORDERS.create({ params });
    const { pathname } = new URL(request.url);
    return Response.json({ id, pathname, method: request.method }, { status: 201 });
  },
};
