// What the instances of the fixtures run. Nothing here may change: programs of earlier releases have it in their databases.
import { WorkflowEntrypoint } from "cloudflare:workers";
import { NonRetryableError } from "cloudflare:workflows";

const VERSION = "one";
const ZEROS = 262144;

/** Executes until then, and not at all afterwards. */
const last = async (until) => {
  while (Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
};

const SHAPES = {
  async values(step) {
    const map = new Map([["key", new Set([1, "two"])]]);
    const values = { date: new Date(0), map, big: 12n, bytes: new Uint8Array([0, 1, 255]), nothing: undefined, text: "\u{1f980} \"x\"" };
    const seen = await step.do("values", async () => values);
    const large = await step.do("large", async () => "x".repeat(20_000));
    await step.sleep("nap", 1);
    return [seen.date.getTime(), seen.map.get("key").has("two"), seen.big.toString(), [...seen.bytes], "nothing" in seen, seen.text, large.length];
  },

  async fails(step) {
    await step.do("fine", async () => 1);
    await step.do("bad", { retries: { limit: 1, delay: 1 } }, async ({ attempt }) => {
      throw new TypeError(`attempt ${attempt} is bad`);
    });
  },

  async event(step, _, env) {
    const first = await step.do("first", async () => VERSION);
    const event = await step.waitForEvent("go", { type: "go", timeout: "3000 days" });
    const second = await step.do("second", async () => event.payload);
    return [first, second, VERSION, env.SECRET ?? null];
  },

  async executes(step, { until }) {
    const before = await step.do("before", async () => 1);
    const both = await Promise.all([step.do("long", async () => last(until).then(() => 2)), step.do("short", async () => 3)]);
    return [before, ...both];
  },

  async nested(step, { until }) {
    return await step.do("outer", async () => {
      const inner = await step.do("inner", async () => 1);
      await last(until);
      return inner + 1;
    });
  },

  async sleeps(step, { until }) {
    await step.do("before", async () => 1);
    await step.sleepUntil("until", until);
    return await step.do("after", async () => 2);
  },

  async buffered(step, { until }) {
    await step.sleepUntil("until", until);
    const event = await step.waitForEvent("go", { type: "go", timeout: "3000 days" });
    return event.payload;
  },

  async late(step, { until }) {
    try {
      await step.waitForEvent("go", { type: "go", timeout: until - Date.now() });
    } catch (error) {
      return `caught: ${error.message}`;
    }
  },

  async retries(step, { until }) {
    const retries = { limit: 3, delay: Math.max(1, until - Date.now()), backoff: "constant" };
    return await step.do("again", { retries }, async ({ attempt }) => {
      if (attempt === 1) throw new Error("the first attempt fails");
      return attempt;
    });
  },

  async undone(step, { until }) {
    const undo = { rollback: async ({ output }) => void (await last(output === 1 ? until : 0)) };
    await step.do("one", async () => 1, undo);
    await step.do("two", async () => 2, undo);
    throw new NonRetryableError("undo it");
  },

  async stream(step, { waits }) {
    const stream = await step.do("stream", async () => {
      const bytes = new Uint8Array(ZEROS + 1000);
      for (let at = ZEROS; at < bytes.length; at++) bytes[at] = at % 251;
      return new Response(bytes).body;
    });
    if (waits) await step.waitForEvent("go", { type: "go", timeout: "3000 days" });
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    return [bytes.length, bytes.reduce((sum, byte) => sum + byte, 0)];
  },
};

export class Flow extends WorkflowEntrypoint {
  async run({ payload }, step) {
    return await SHAPES[payload.shape ?? "values"](step, payload, this.env);
  }
}

export default {
  fetch: () => new Response(VERSION),
  async scheduled(controller, env) {
    try {
      await env.FLOW.create({ id: `scheduled-${controller.scheduledTime}`, params: { shape: "values" } });
    } catch (error) {
      // It may be called twice for one time.
      if (!error.message.includes("already_exists")) throw error;
    }
  },
};
