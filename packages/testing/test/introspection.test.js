// Instances on a real server, end to end: every sleep here is a month or an hour, and no test takes seconds.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CairnError, connect, introspectWorkflow, introspectWorkflowInstance, startCairn } from '../src/index.js';

const DAY = 86_400_000;

/** @type {Awaited<ReturnType<typeof startCairn>>} */
let cairn;
let orders;
let log = '';

before(async () => {
  cairn = await startCairn(new URL('project', import.meta.url), { onLog: (text) => (log += text) });
  orders = cairn.workflow('orders');
});

after(() => cairn?.stop());

const start = (id, scene) => orders.create({ id, params: { scene } });

async function withInstance(id, change, use) {
  const instance = await introspectWorkflowInstance(orders, id);
  try {
    await instance.modify(change);
    await use(instance);
  } finally {
    await instance.dispose();
  }
}

describe('modifiers', () => {
  test('a month of sleep takes no time when sleeps are disabled', async () => {
    const begun = performance.now();
    await withInstance(
      'sleepless',
      async (m) => {
        await m.disableSleeps();
        await m.mockStepResult({ name: 'price' }, 12.5);
      },
      async (instance) => {
        await start('sleepless', 'sleeps');
        assert.equal(await instance.waitForStepResult({ name: 'price' }), 12.5);
        await instance.waitForStatus('complete');
        assert.deepEqual(await instance.getOutput(), { price: 12.5 });
      },
    );
    assert.ok(performance.now() - begun < 60_000);
  });

  test('only the sleeps that are named are disabled', async () => {
    await withInstance(
      'some-sleeps',
      (m) => m.disableSleeps([{ name: 'a month' }]),
      async (instance) => {
        await start('some-sleeps', 'sleeps');
        assert.equal(await instance.waitForStepResult({ name: 'price' }), 'the real one');
        await instance.waitForStatus('waiting');
      },
    );
  });

  test('a sleep that has begun ends when it is disabled', async () => {
    const instance = await introspectWorkflowInstance(orders, 'woken');
    await start('woken', 'sleeps');
    await instance.waitForStatus('waiting');
    await instance.modify((m) => m.disableSleeps());
    await instance.waitForStatus('complete');
    await instance.dispose();
  });

  test('errors and timeouts come in order, and the real callback after them', async () => {
    await withInstance(
      'failing',
      async (m) => {
        await m.disableRetryDelays();
        await m.mockStepError({ name: 'charge' }, new TypeError('declined'), 1);
        await m.forceStepTimeout({ name: 'charge' }, 2);
      },
      async (instance) => {
        await start('failing', 'fails');
        await instance.waitForStatus('complete');
        assert.deepEqual(await instance.getOutput(), { attempt: 4 });
      },
    );
  });

  test('a step that always fails fails the instance', async () => {
    await withInstance(
      'failed',
      async (m) => {
        await m.disableRetryDelays([{ name: 'charge' }]);
        await m.mockStepError({ name: 'charge' }, new Error('declined'));
      },
      async (instance) => {
        await start('failed', 'fails');
        await instance.waitForStatus('errored');
        assert.equal((await instance.getError()).message, 'declined');
        await assert.rejects(instance.waitForStepResult({ name: 'charge' }), { name: 'Error', message: 'declined' });
        await assert.rejects(instance.getOutput(), /its status is 'errored'/);
      },
    );
  });

  test('the message of a timeout is that of a real one', async () => {
    await withInstance(
      'slow',
      async (m) => {
        await m.disableRetryDelays();
        await m.forceStepTimeout({ name: 'charge' });
      },
      async (instance) => {
        await start('slow', 'fails');
        await instance.waitForStatus('errored');
        assert.match((await instance.getError()).message, /Execution timed out after 300000ms/);
      },
    );
  });

  test('a mocked event is there, and real ones of its type are not', async () => {
    await withInstance(
      'decided',
      (m) => m.mockEvent({ type: 'decided', payload: { yes: true } }),
      async (instance) => {
        const real = await start('decided', 'waits');
        await real.sendEvent({ type: 'decided', payload: 'ignored' });
        await instance.waitForStatus('complete');
        assert.deepEqual(await instance.getOutput(), { decided: { yes: true } });
        const event = await instance.waitForStepResult({ name: 'decision' });
        assert.deepEqual([event.type, event.payload], ['decided', { yes: true }]);
        assert.ok(event.timestamp instanceof Date);
      },
    );
  });

  test('a wait for an event times out at once', async () => {
    await withInstance(
      'undecided',
      (m) => m.forceEventTimeout({ name: 'decision' }),
      async (instance) => {
        await start('undecided', 'waits');
        await instance.waitForStatus('complete');
        assert.match((await instance.getOutput()).late, /Execution timed out after 604800000ms/);
      },
    );
  });

  test('values keep their types, both ways', async () => {
    const value = new Map([['at', new Date(5)], ['bytes', new Uint8Array([1, 2])], ['of', undefined]]);
    await withInstance(
      'values',
      (m) => m.mockStepResult({ name: 'value' }, value),
      async (instance) => {
        await start('values', 'values');
        assert.deepEqual(await instance.waitForStepResult({ name: 'value' }), value);
        await instance.waitForStatus('complete');
        assert.deepEqual(await instance.getOutput(), { size: 3, value });
      },
    );
    const instance = await introspectWorkflowInstance(orders, 'real-values');
    const { status } = await start('real-values', 'values').then(async (real) => {
      await instance.waitForStatus('complete');
      return real.status();
    });
    assert.equal(status, 'complete');
    assert.deepEqual(await instance.waitForStepResult({ name: 'value' }), new Map([['real', 1n]]));
    await instance.dispose();
  });

  test('mocks survive a restart', async () => {
    await withInstance(
      'restarted',
      async (m) => {
        await m.disableSleeps();
        await m.mockStepResult({ name: 'price' }, 1);
      },
      async (instance) => {
        const real = await start('restarted', 'sleeps');
        await instance.waitForStatus('complete');
        await real.restart();
        await instance.waitForStatus('complete');
        await real.restart({ from: { name: 'price' } });
        await instance.waitForStatus('complete');
        assert.deepEqual(await instance.getOutput(), { price: 1 });
      },
    );
  });

  test('a contradiction is an error, said where it is', async () => {
    await withInstance('twice', (m) => m.mockStepResult({ name: 'price' }, 1), async (instance) => {
      await assert.rejects(
        instance.modify(async (m) => m.mockStepResult({ name: 'price' }, 2)),
        { name: 'CairnError', message: "[WorkflowIntrospector] Trying to mock step 'price' multiple times!" },
      );
      await assert.rejects(
        instance.modify((m) => {
          // Not awaited: `modify` tells all the same.
          m.mockStepError({ name: 'price' }, new Error('x'));
        }),
        /Trying to mock error on step 'price' after mocking its result!/,
      );
      await assert.rejects(instance.modify((m) => m.disableSleeps([{ name: 'a', index: 0 }])), /counts from 1/);
      await assert.rejects(instance.modify((m) => m.mockStepResult({ name: 'f' }, () => 1)), /a function cannot be stored/);
    });
  });
});

describe('waits', () => {
  test('a status that cannot come any more rejects', async () => {
    await withInstance('over', (m) => m.disableSleeps(), async (instance) => {
      const waiting = instance.waitForStatus('errored');
      await start('over', 'sleeps');
      await assert.rejects(waiting, {
        message:
          "[WorkflowIntrospector] The Workflow instance over has reached status 'complete'. This is a finite status that prevents it from ever reaching the expected status of 'errored'.",
      });
      await assert.rejects(instance.waitForStepResult({ name: 'price', index: 2 }), /without a result of step 'price' \(index 2\)/);
    });
  });

  test('a wait that takes too long says where the instance is', async () => {
    const instance = await introspectWorkflowInstance(orders, 'stuck');
    await start('stuck', 'waits');
    await instance.waitForStatus('waiting');
    await assert.rejects(instance.waitForStatus('complete', { timeout: 200 }), /within 200 ms; it is 'waiting'/);
    await instance.dispose();
  });

  test('disposal ends waits and deletes the instance', async () => {
    const instance = await introspectWorkflowInstance(orders, 'gone');
    const real = await start('gone', 'waits');
    const waiting = assert.rejects(instance.waitForStatus('complete'), /disposed of/);
    await instance.dispose();
    await waiting;
    await assert.rejects(real.status(), (error) => error instanceof CairnError && error.status === 404);
  });
});

describe('a whole workflow', () => {
  test('its new instances are collected and modified', async () => {
    const before = await start('before', 'waits');
    const all = await introspectWorkflow(orders);
    await all.modifyAll(async (m) => {
      await m.disableSleeps();
      await m.mockStepResult({ name: 'price' }, 3);
    });
    await assert.rejects(cairn.introspectWorkflow('orders'), /Workflow "orders" already has an active introspection session/);
    await orders.createBatch([{ id: 'one', params: { scene: 'sleeps' } }, { params: { scene: 'sleeps' } }]);
    const instances = await all.get();
    assert.equal(instances.length, 2);
    assert.equal(instances[0].id, 'one');
    for (const instance of instances) {
      await instance.waitForStatus('complete');
      assert.deepEqual(await instance.getOutput(), { price: 3 });
    }
    await all.dispose();
    await assert.rejects(orders.get('one'), /does not exist/);
    await assert.rejects(all.get(), /is over/);
    assert.equal((await before.status()).status, 'waiting');
    const next = await introspectWorkflow(orders);
    assert.deepEqual(await next.get(), []);
    await next[Symbol.asyncDispose]();
  });
});

describe('a Worker', () => {
  test('creates instances that are collected', async () => {
    const all = await introspectWorkflow(orders);
    await all.modifyAll((m) => m.mockStepResult({ name: 'value' }, new Set([1])));
    const response = await cairn.fetch('shop', '/buy?now', { method: 'POST', body: JSON.stringify({ scene: 'values' }) });
    const { id, ...rest } = await response.json();
    assert.deepEqual([response.status, rest], [201, { pathname: '/buy', method: 'POST' }]);
    const [instance] = await all.get();
    assert.equal(instance.id, id);
    await instance.waitForStatus('complete');
    assert.equal((await instance.getOutput()).size, 1);
    await all.dispose();
  });
});

describe('the clock', () => {
  test('a month passes in a moment', async () => {
    const instance = await introspectWorkflowInstance(orders, 'patient');
    await start('patient', 'sleeps');
    await instance.waitForStatus('waiting');
    const before = await cairn.clock.now();
    const later = await cairn.clock.advance('30 days');
    assert.ok(later - before >= 30 * DAY && later - before < 31 * DAY);
    assert.equal(await instance.waitForStepResult({ name: 'price' }), 'the real one');
    await instance.dispose();
  });

  test('retries come due, and not before', async () => {
    await withInstance('retried', (m) => m.mockStepError({ name: 'charge' }, new Error('busy'), 1), async (instance) => {
      await start('retried', 'fails');
      await instance.waitForStatus('waiting');
      await cairn.clock.advance('30 minutes');
      await assert.rejects(instance.waitForStatus('complete', { timeout: 200 }), /it is 'waiting'/);
      await cairn.clock.advance('30 minutes');
      await instance.waitForStatus('complete');
      assert.deepEqual(await instance.getOutput(), { attempt: 2 });
    });
  });

  test('it only goes forward', async () => {
    await assert.rejects(cairn.clock.advance(-1), /cannot be put back/);
    await assert.rejects(cairn.clock.advance('1s'), /Invalid duration "1s"/);
    await assert.rejects(cairn.clock.advance('200 years'), /hundred years/);
  });
});

describe('a server', () => {
  test('that is not there is named', async () => {
    const nobody = connect({ url: 'http://127.0.0.1:9' });
    await assert.rejects(nobody.clock.now(), /does not answer at http:\/\/127.0.0.1:9/);
  });

  test('that runs already is connected to', async () => {
    const same = connect({ url: `${cairn.url}/client/v4` });
    assert.ok((await same.clock.now()) instanceof Date);
    await assert.rejects(same.introspectWorkflow('nope'), /workflow "nope" does not exist/);
  });

  test('does not start without a project or a program', async () => {
    await assert.rejects(startCairn('/nowhere'), /nowhere/);
    await assert.rejects(startCairn('/nowhere', { bin: '/no/such/cairn' }), /could not be started.*CAIRN_BIN/s);
  });
});
