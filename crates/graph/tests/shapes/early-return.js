import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const order = await step.do("load", async () => event.payload);
    if (!order) return { status: "nothing to do" };
    if (order.cancelled) {
      await step.do("refund", async () => 1);
      return { status: "refunded" };
    }
    const shipped = await step.do("ship", async () => 2);
    if (shipped) {
      return await step.do("thank", async () => 3);
    } else {
      return await step.do("apologise", async () => 4);
    }
  }
}
