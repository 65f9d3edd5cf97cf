import { WorkflowEntrypoint } from "cloudflare:workers";

export class Flow extends WorkflowEntrypoint {
  async run(event) {
    if (event.payload) return 1;
    for (const x of event.payload) console.log(x);
  }
}
