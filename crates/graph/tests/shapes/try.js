import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    try {
      await step.do("risky", async () => 1);
    } catch (error) {
      await step.do("repair", async () => String(error));
    } finally {
      await step.do("clean up", async () => 2);
    }
    try {
      await step.do("may fail", async () => 3);
    } catch {
      return await step.do("give up", async () => 4);
    }
    try {
      JSON.parse(event.payload.text);
    } catch {
      console.log("nothing to see");
    }
    return await step.do("conclude", async () => 5);
  }
}
