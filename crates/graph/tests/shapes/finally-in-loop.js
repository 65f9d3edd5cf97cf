import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    for (const item of event.payload.items) {
      try {
        if (!item) continue;
        await step.do("lock", async () => item);
        if (item.last) return "done";
      } finally {
        await step.do("unlock", async () => item);
      }
    }
    for await (const part of read(event.payload)) {
      await step.do("part", async () => part);
    }
  }
}
