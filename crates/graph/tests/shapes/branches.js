import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const { status, items } = event.payload;
    if (status === "pending") {
      await step.do("pending path", async () => 1);
    } else if (status === "active" && items.length > 3) {
      await step.do("active path", async () => 2);
    } else {
      await step.do("fallback path", async () => 3);
    }
    if (status) {
      console.log("nothing to see");
    } else {
      await step.do("no status", async () => 4);
    }
    if (items.length) await step.do("items", async () => 5);
    if (status) console.log("not shown");
  }
}
