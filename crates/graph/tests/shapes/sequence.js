import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const order = await step.do("reserve", async () => ({ shelf: "A7" }));
    await step.sleep("cool down", "10 seconds");
    await step.sleep("a moment", 1500);
    await step.sleepUntil("new year", new Date("2027-01-01T00:00:00Z"));
    await step.sleepUntil("later", new Date(event.payload.when));
    return await step.do("ship", async () => order.shelf);
  }
}
