// Workflows that start workflows, and what user code has besides its steps.

import { pause } from '../kit.js';
import { caught, once } from './common.js';

async function outcome(instance) {
  for (;;) {
    const { status, output, error } = await instance.status();
    if (['complete', 'errored', 'terminated'].includes(status)) return { status, output, error: error?.message ?? null };
    await pause(20);
  }
}

export default {
  'child-awaited': {
    async run({ instanceId }, step) {
      const id = await step.do('start', async () => {
        const child = await this.env.CASES.create({ id: instanceId.replace('main', 'child'), params: { n: 20 } });
        return child.id;
      });
      return await step.do('await', async () => outcome(await this.env.CASES.get(id)));
    },
    runs: {
      async child({ payload }, step) {
        return await step.do('double', async () => payload.n * 2);
      },
    },
  },
  'child-fails': {
    async run({ instanceId }, step) {
      return await step.do('child', async () => {
        const child = await this.env.CASES.create({ id: instanceId.replace('main', 'child') });
        return await outcome(child);
      });
    },
    runs: {
      async child() {
        throw new TypeError('the child failed');
      },
    },
  },
  'child-tells-parent': {
    async run({ instanceId }, step) {
      await step.do('start', async () => {
        await this.env.CASES.create({ id: instanceId.replace('main', 'child'), params: { parent: instanceId } });
      });
      return (await step.waitForEvent('answer', { type: 'answer', timeout: '1 minute' })).payload;
    },
    runs: {
      async child({ payload }, step) {
        await step.waitForEvent('word', { type: 'tell', timeout: '1 minute' });
        await step.do('tell', async () => {
          const parent = await this.env.CASES.get(payload.parent);
          await parent.sendEvent({ type: 'answer', payload: { from: 'the child' } });
        });
      },
    },
    async drive(t) {
      await t.create();
      await t.event('wait_started');
      await t.settled();
      await (await t.binding.get(t.idOf('child'))).sendEvent({ type: 'tell' });
    },
  },
  'child-twice': {
    async run({ instanceId }, step) {
      const create = () => this.env.CASES.create({ id: instanceId.replace('main', 'child') });
      await step.do('first', async () => void (await create()));
      return await step.do('second', async () => caught(create));
    },
    runs: {
      async child() {},
    },
  },
  'child-of-another-workflow': {
    async run({ instanceId }, step) {
      return await step.do('child', async () => outcome(await this.env.FEW.create({ id: instanceId.replace('main', 'child') })));
    },
    runs: {
      async child({ workflowName }) {
        return workflowName;
      },
    },
  },
  'child-in-batch': {
    async run({ instanceId }, step) {
      return await step.do('children', async () => {
        const ids = ['child1', 'child2'].map((label) => instanceId.replace('main', label));
        const children = await this.env.CASES.createBatch(ids.map((id, n) => ({ id, params: n })));
        return await Promise.all(children.map(async (child) => (await outcome(child)).output));
      });
    },
    runs: {
      child1: async ({ payload }) => payload,
      child2: async ({ payload }) => payload,
    },
  },
  'self-status': {
    async run({ instanceId }, step) {
      await step.do('first', async () => 1);
      return await step.do('look', async () => (await (await this.env.CASES.get(instanceId)).status()).status);
    },
  },
  'self-terminate': {
    async run({ instanceId }, step, { mark }) {
      await step.do('end', async () => {
        await (await this.env.CASES.get(instanceId)).terminate();
      });
      await step.do('never', async () => mark('never'));
    },
  },
  'self-pause': {
    async run({ instanceId }, step) {
      await step.do('pause', async () => {
        await (await this.env.CASES.get(instanceId)).pause();
      });
      return await step.do('after', async () => 'went on');
    },
    async drive(t) {
      await t.create();
      await t.status('main', 'paused');
      await t.instance().resume();
    },
  },
  'exports-of-context': {
    async run({ instanceId }, step) {
      return await step.do('child', once, async () => {
        const child = await this.ctx.exports.Cases.create({ id: instanceId.replace('main', 'child') });
        return await outcome(child);
      });
    },
    runs: {
      child: async () => 'made by ctx.exports',
    },
  },
  'exports-of-context-type': {
    async run() {
      return [typeof this.ctx.exports, typeof this.ctx.exports?.Cases, typeof this.ctx.exports?.Cases?.create];
    },
  },
  'instance-variables': {
    async run(event, step) {
      this.kept = 1;
      await step.do('one', async () => {
        this.kept += 1;
      });
      return this.kept;
    },
  },
  'variables-of-config': {
    async run() {
      return this.env.GREETING;
    },
  },
  'limit-of-steps': {
    async run(event, step) {
      const seen = [];
      for (let i = 1; i <= 4; i++) seen.push(await caught(() => step.do(`step ${i}`, async () => i)));
      return seen;
    },
    drive: (t) => t.createIn('FEW'),
  },
  'limit-of-steps-uncaught': {
    async run(event, step) {
      for (let i = 1; i <= 4; i++) await step.do(`step ${i}`, async () => i);
    },
    drive: (t) => t.createIn('FEW'),
  },
  'limit-of-steps-sleeps-free': {
    async run(event, step) {
      for (let i = 1; i <= 5; i++) await step.sleep(`nap ${i}`, 5);
      return 'slept';
    },
    drive: (t) => t.createIn('FEW'),
  },
  'limit-of-steps-refused-too': {
    async run(event, step) {
      const seen = [];
      for (let i = 1; i <= 4; i++) seen.push(await caught(() => step.do(`step ${i}`, { retries: 3 }, async () => i)));
      return seen.map(({ threw, returned }) => threw?.message ?? returned);
    },
    drive: (t) => t.createIn('FEW'),
  },
  'class-without-run': {
    async run() {},
    drive: (t) => t.createIn('EMPTY'),
  },
  'class-constructor-throws': {
    async run() {},
    drive: (t) => t.createIn('BROKEN'),
  },
};
