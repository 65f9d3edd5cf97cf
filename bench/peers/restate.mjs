// The service that Restate calls: node restate.mjs PORT
//
// Started through Restate's own HTTP ingress: /Bench/steps waits for the end, /Bench/steps/send answers once the invocation is durable.

import * as restate from "@restatedev/restate-sdk";

const bench = restate.service({
  name: "Bench",
  handlers: {
    steps: async (ctx, input) => {
      let sum = 0;
      for (let i = 0; i < input.steps; i++) sum += await ctx.run(`step ${i}`, async () => i);
      return sum;
    },
  },
});

restate.serve({ services: [bench], port: Number(process.argv[2]) });
