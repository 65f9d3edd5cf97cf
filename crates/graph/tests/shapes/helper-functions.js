import { WorkflowEntrypoint } from "cloudflare:workers";

const TIMEOUT = "5 minutes";
const DEFAULTS = Object.freeze({ retries: { limit: 2, delay: "3 seconds", backoff: "linear" } });

async function charge(step, cents) {
  return await step.do("charge", { ...DEFAULTS, timeout: TIMEOUT }, async () => log(cents));
}

const ship = async (cents, s) => {
  await s.do("pack", async () => cents);
  return s.do("ship", async () => cents);
};

function log(value) {
  console.log(value);
  return value;
}

async function both({ step, event }) {
  await charge(step, event.payload.cents);
  await ship(event.payload.cents, step);
}

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    log("begin");
    await both({ step, event });
    await charge(step, 1);
    log("end");
  }
}
