import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const { action } = event.payload;
    switch (action.type) {
      case "create":
        await step.do("create", async () => 1);
        break;
      case "change":
      case "replace": {
        await step.do("change", async () => 2);
        break;
      }
      case "nothing":
        break;
      default:
        await step.do("unknown", async () => 3);
    }
    await step.do("after", async () => 4);
  }
}
