// The Worker for `wrangler dev` and `workerd serve`: the same workflow as on Cairn, and a door to it.
//
//   /start?steps=n         answers once create() does
//   /run?steps=n&pause=ms  creates an instance and asks for its status, here in the Worker, until it is complete
//   /ended                 how many runs have come to the end of run(), which is a little before their status says so

import { WorkflowEntrypoint } from "cloudflare:workers";

let ended = 0;

export class Steps extends WorkflowEntrypoint {
  async run(event, step) {
    let sum = 0;
    for (let i = 0; i < event.payload.steps; i++) sum += await step.do(`step ${i}`, async () => i);
    ended++;
    return sum;
  }
}

async function run(env, steps, pause) {
  const instance = await env.STEPS.create({ params: { steps } });
  for (;;) {
    const { status } = await instance.status();
    if (status === "complete") return { status };
    if (status === "errored" || status === "terminated") throw new Error(`the instance is ${status}`);
    if (pause > 0) await scheduler.wait(pause);
  }
}

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const steps = Number(searchParams.get("steps"));
    switch (pathname) {
      case "/start":
        return Response.json({ id: (await env.STEPS.create({ params: { steps } })).id });
      case "/run":
        return Response.json(await run(env, steps, Number(searchParams.get("pause"))));
      case "/ended":
        return Response.json({ ended });
      default:
        return new Response("bench");
    }
  },
};
