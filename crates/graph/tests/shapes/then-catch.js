import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    await step.do("a", async () => 1).then((a) => step.do("b", async () => a));
    await step.do("c", async () => 2).catch(() => step.do("repair c", async () => 3));
    await step.do("d", async () => 4).catch((error) => console.log(error));
    await step.do("e", async () => 5).then(() => step.do("f", async () => 6), () => step.do("e failed", async () => 7));
    await step.do("g", async () => 8).finally(() => step.do("after g", async () => 9));
  }
}
