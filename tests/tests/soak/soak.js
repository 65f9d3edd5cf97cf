// What the soak runs. Every step has an effect outside: it reports a nonce that was never used before, together with the results of other steps that it
// has been told, and returns the nonce.
import { WorkflowEntrypoint } from "cloudflare:workers";
import { NonRetryableError } from "cloudflare:workflows";

const PATIENT = { retries: { limit: 10000, delay: 25, backoff: "constant" } };

class Story {
  constructor(event, step, env) {
    Object.assign(this, { event, step, env, params: event.payload });
    /** The nonce of the last marker; a restart from a marker begins a new scope. */
    this.mark = "";
    /** Label to nonce of what was told since the last marker. */
    this.told = {};
    /** All that was told: marker, label, nonce. */
    this.all = [];
    this.mails = [];
    this.counts = {};
  }

  label(name) {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    return `${name}-${this.counts[name]}`;
  }

  async report(mark, step, told) {
    const nonce = crypto.randomUUID();
    const body = JSON.stringify({ instance: this.event.instanceId, mark, step, nonce, told, mails: this.mails, at: Date.now() });
    const response = await fetch(this.params.recorder, { method: "POST", body });
    await response.text();
    if (!response.ok) throw new Error(`the recorder answered ${response.status}`);
    return nonce;
  }

  learn(mark, label, nonce) {
    this.told[label] = nonce;
    this.all.push([mark, label, nonce]);
  }

  /** One step. `fails`: attempts that throw after their effect; `body`: what is done before the effect; `pad`: how large the result is. */
  async act(name, { fails = 0, pad = 0, body, undo = false } = {}) {
    const label = this.label(name);
    const mark = this.mark;
    const callback = async ({ attempt, step }) => {
      if (`${step.name}-${step.count}` !== label) throw new NonRetryableError(`${label} is called ${step.name}-${step.count}`);
      const inner = await body?.();
      const nonce = await this.report(mark, label, this.told);
      if (attempt <= fails) throw new Error(`attempt ${attempt} is to fail`);
      return { nonce, pad: "x".repeat(pad), inner };
    };
    const rollback = async ({ output }) => {
      await this.report(mark, `undo ${label}`, output ? { [label]: output.nonce } : {});
    };
    const value = await this.step.do(name, PATIENT, callback, undo ? { rollback, rollbackConfig: PATIENT } : undefined);
    if (value.pad.length !== pad) throw new NonRetryableError(`${label} has ${value.pad.length} bytes, not ${pad}`);
    this.learn(mark, label, value.nonce);
    return value;
  }

  /** A step that begins a new scope. Nothing else executes meanwhile. */
  async begin(name) {
    const { nonce } = await this.act(name);
    this.mark = nonce;
    this.told = {};
  }

  /** Two scopes, so that there is something to restart from. */
  async halves(each) {
    for (const half of [1, 2]) {
      await this.begin(`mark ${half}`);
      await each(half);
    }
  }
}

const SHAPES = {
  line: (story) =>
    story.halves(async () => {
      for (const pad of story.params.numbers) await story.act("act", { pad: pad * 40 });
    }),

  flaky: (story) =>
    story.halves(async () => {
      for (const number of story.params.numbers.slice(0, 4)) await story.act(`flaky ${number % 3}`, { fails: 1 + (number % 3) });
    }),

  fan: (story) =>
    story.halves(async () => {
      const branch = async (name) => {
        await story.act(`${name} first`);
        await story.act(`${name} second`, { fails: 1 });
        await story.act(`${name} third`);
      };
      await Promise.all(["left", "middle", "right"].map(branch));
    }),

  nest: (story) =>
    story.halves(async (half) => {
      // Steps within a step that is complete are not called again, so they have names of their own: others would be counted differently by a later run.
      const body = async () => {
        await Promise.all([story.act(`inner ${half}`), story.act(`inner ${half}`)]);
        await story.step.sleep(`within ${half}`, 20);
        return (await story.act(`last inner ${half}`)).nonce;
      };
      await story.act("outer", { body, fails: 1 });
    }),

  nap: (story) =>
    story.halves(async () => {
      for (const number of story.params.numbers.slice(0, 3)) {
        await story.step.sleep("nap", 100 + number * 25);
        await story.act("awake");
      }
    }),

  mail: async (story) => {
    await story.begin("mark 1");
    try {
      await story.step.waitForEvent("nothing", { type: "nothing", timeout: 300 });
      throw new NonRetryableError("an event came that nobody sent");
    } catch (error) {
      if (error instanceof NonRetryableError) throw error;
    }
    for (let n = 0; n < story.params.mails; n++) {
      const event = await story.step.waitForEvent("mail", { type: "mail", timeout: "1 hour" });
      story.mails.push(event.payload.number);
      await story.act("read");
    }
  },

  saga: async (story) => {
    await story.begin("mark 1");
    for (let n = 0; n < 4; n++) await story.act("book", { undo: true });
    await Promise.all([story.act("left", { undo: true }), story.act("right", { undo: true })]);
    await story.step.sleep("think", story.params.numbers[0] * 20);
    throw new NonRetryableError("undo it");
  },

  stream: async (story) => {
    await story.begin("mark 1");
    for (const number of story.params.numbers.slice(0, 2)) {
      const label = story.label("make");
      const stream = await story.step.do("make", PATIENT, async () => {
        const nonce = await story.report(story.mark, label, story.told);
        return new Response(nonce + "x".repeat(number * 20_000)).body;
      });
      const text = await new Response(stream).text();
      if (text.length !== 36 + number * 20_000) throw new NonRetryableError(`${label} has ${text.length} bytes`);
      story.learn(story.mark, label, text.slice(0, 36));
      await story.act("read");
    }
  },

  family: async (story) => {
    await story.begin("mark 1");
    const id = `${story.event.instanceId}-child`;
    const params = { recorder: story.params.recorder, shape: "mail", mails: 1, numbers: [] };
    await story.act("bear", {
      body: async () => {
        try {
          await story.env.CHILD.create({ id, params });
        } catch (error) {
          // An earlier attempt has made it and did not live to tell.
          if (!error.message.includes("already_exists")) throw error;
        }
      },
    });
    const child = await story.env.CHILD.get(id);
    await story.act("tell", { body: () => child.sendEvent({ type: "mail", payload: { number: 0 } }) });
    await story.act("wait", {
      body: async () => {
        const { status } = await child.status();
        if (status !== "complete") throw new Error(`the child is ${status}`);
      },
    });
  },
};

export class Soak extends WorkflowEntrypoint {
  async run(event, step) {
    const story = new Story(event, step, this.env);
    await SHAPES[event.payload.shape](story);
    return { all: story.all, mails: story.mails };
  }
}

export default { fetch: () => new Response("ok") };
