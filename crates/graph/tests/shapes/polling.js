import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    let attempts = 0;
    let state = await step.do("first look", async () => look());
    while (state !== "done" && attempts < 10) {
      await step.sleep(`wait ${attempts}`, `${2 ** attempts} seconds`);
      state = await step.do(`look ${attempts}`, async () => look());
      attempts++;
    }
    const result = state === "done" ? await step.do("collect", async () => 1) : undefined;
    if (!result) throw new Error(await step.do("explain", async () => "why"));
    return result;
    
    async function look() {
      return "done";
    }
  }
}
