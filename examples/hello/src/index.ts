import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";

interface Env {
  HELLO: Workflow;
}

interface Params {
  name?: string;
}

/** One step: its result is kept, and the step never runs a second time. */
export class Hello extends WorkflowEntrypoint<Env, Params> {
  async run(event: WorkflowEvent<Params>, step: WorkflowStep) {
    return await step.do("greet", async () => ({ greeting: `Hello, ${event.payload.name ?? "world"}!` }));
  }
}

/** Starts an instance for every visit: http://hello.localhost:8787/?name=Ada */
export default {
  async fetch(request: Request, env: Env) {
    const name = new URL(request.url).searchParams.get("name") ?? undefined;
    const instance = await env.HELLO.create({ params: { name } });
    return Response.json({ id: instance.id });
  },
};
