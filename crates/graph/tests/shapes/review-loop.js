import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const limit = Number(this.env.LIMIT ?? "5");
    const review = async (round, draft) => {
      if (round > limit) {
        await step.do("notify that it is enough", async () => draft);
        return { approved: false, draft };
      }
      const summary = step.do(`summary (round ${round})`, async () => draft.slice(0, 10));
      const facts = step.do(`facts (round ${round})`, async () => draft.length);
      const style = step.do(`style (round ${round})`, async () => draft.trim());
      const comments = await Promise.all([summary, facts, style]);
      const answer = await step.waitForEvent(`answer (round ${round})`, { type: "answer", timeout: this.env.PATIENCE });
      if (answer.payload.approved) return { approved: true, draft };
      const next = await step.do(`revise (round ${round})`, async () => draft + comments.join());
      return review(round + 1, next);
    };
    return review(1, event.payload.text);
  }
}
