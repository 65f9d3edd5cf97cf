import { WorkflowEntrypoint } from "cloudflare:workers";

var Hidden = class extends WorkflowEntrypoint {
  async run(event, step) {
    await step.do("under another name", async () => 1);
  }
};
var index_default = { fetch: () => new Response("x") };
export { Hidden as Flow, index_default as default };
