import { WorkflowEntrypoint } from "cloudflare:workers";

class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    await step.do("never", async () => 1);
  }
}
export default { Flow };
