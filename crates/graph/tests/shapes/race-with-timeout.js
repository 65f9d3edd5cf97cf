import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const work = step.do("long work", { timeout: "1 hour" }, async () => 1);
    const winner = await Promise.race([work, step.sleep("patience", "5 minutes").then(() => "late")]);
    if (winner === "late") {
      await step.do("tell that it is late", async () => 2);
    }
    return await work;
  }
}
