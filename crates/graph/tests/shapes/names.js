import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const kind = "invoice";
    let changing = "first";
    changing = event.payload.name;
    const { id } = event.payload;
    await step.do(`send ${kind}`, async () => 1);
    await step.do(`send ${kind} ${id}`, async () => 2);
    await step.do("part " + id + " of " + kind, async () => 3);
    await step.do(changing, async () => 4);
    await step.do(event.payload.name, async () => 5);
    await step.do("number " + 7, async () => 6);
    await step.do("a".concat(id, "b"), async () => 7);
    await step.do('quotes "and" \u00fcml\u00e4uts', async () => 8);
  }
}
