import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const max = 10;
    const messages = [];
    try {
      for (let turn = 0; turn < max; turn++) {
        const reply = await step.do(`turn-${turn}`, { retries: { limit: 3, delay: "2 seconds" } }, async () => think(messages));
        if (reply.toolUses.length > 0) {
          for (const tool of reply.toolUses) {
            if (tool.name === "ask") {
              const answer = await step.waitForEvent(`Wait for ${tool.id}`, { type: "answer", timeout: "7 days" });
              messages.push(answer.payload);
            } else {
              messages.push(await step.do(`tool-${tool.id}`, async () => useTool(tool)));
            }
          }
        } else {
          break;
        }
      }
      await step.do("complete", async () => 1);
    } catch (error) {
      await step.do("handle-error", async () => String(error));
      throw error;
    }
  }
}

async function think(messages) {
  return messages;
}
