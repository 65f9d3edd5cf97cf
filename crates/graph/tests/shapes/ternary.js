import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const { fast, cached, name } = event.payload;
    const how = fast ? await step.do("fast", async () => 1) : await step.do("slow", async () => 2);
    await (cached ? step.do("cached", async () => 3) : step.do("not cached", async () => 4));
    name && (await step.do("with a name", async () => 5));
    name || (await step.do("without a name", async () => 6));
    const title = event.payload.title ?? (await step.do("a title", async () => "t"));
    let owner = event.payload.owner;
    owner ??= await step.do("an owner", async () => "o");
    return { how, title, owner };
  }
}
