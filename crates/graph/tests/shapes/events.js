import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const patience = event.payload.patience;
    const options = { type: "paid", timeout: "7 days" };
    await step.waitForEvent("payment", options);
    await step.waitForEvent("decision", { type: "decision", timeout: patience ?? "3 days" });
    await step.waitForEvent("anything", { type: event.payload.type });
    await step.waitForEvent("who knows", event.payload.options);
  }
}
