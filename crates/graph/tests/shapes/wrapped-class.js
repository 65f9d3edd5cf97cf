import { WorkflowEntrypoint } from "cloudflare:workers";
import { instrument } from "observability";

class Inner extends WorkflowEntrypoint {
  async run(event, step) {
    await step.do("inside", async () => 1);
  }
}

export const Flow = instrument((env) => ({ dsn: env.DSN }), Inner);
