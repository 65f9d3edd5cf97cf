import { WorkflowEntrypoint } from "cloudflare:workers";

async function walk(step, node) {
  await step.do(`visit ${node.id}`, async () => node.id);
  for (const child of node.children) await walk(step, child);
}

async function ping(step, n) {
  await step.do(`ping ${n}`, async () => n);
  if (n > 0) await pong(step, n - 1);
}

async function pong(step, n) {
  await ping(step, n);
}

function idle(step, n) {
  return n > 0 ? idle(step, n - 1) : 0;
}

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const loop = async (round) => {
      if (round > 5) return;
      await step.do(`round ${round}`, async () => round);
      return loop(round + 1);
    };
    await loop(0);
    await walk(step, event.payload.tree);
    await ping(step, 3);
    idle(step, 3);
  }
}
