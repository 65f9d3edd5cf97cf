// A server of a test's own: `cairn dev` on a free port, with its data in a folder that is removed at the end.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const START_MILLIS = 120_000;
const STOP_MILLIS = 15_000;

const LISTENS = /API\s+(http:\/\/\S+)\/client\/v4/;
const DOES_NOT_BUILD = /Waiting for a change\./;

/** Starts the server; `{url, stop}`. */
export async function startServer(project, { bin, dataDir, args = [], env = {}, onLog, timeout = START_MILLIS } = {}) {
  const program = bin ?? process.env.CAIRN_BIN ?? 'cairn';
  const folder = project instanceof URL ? fileURLToPath(project) : project;
  const ownData = dataDir === undefined ? await mkdtemp(join(tmpdir(), 'cairn-')) : undefined;
  const child = spawn(program, ['dev', folder, '--port', '0', '--data-dir', dataDir ?? ownData, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = new Promise((resolve) => {
    child.once('exit', resolve);
    child.once('error', resolve);
  });
  const stop = async () => {
    process.removeListener('exit', kill);
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
      child.kill('SIGTERM');
      const timer = setTimeout(kill, STOP_MILLIS);
      await ended;
      clearTimeout(timer);
    }
    if (ownData !== undefined) await rm(ownData, { recursive: true, force: true });
  };
  try {
    return { url: await listening(child, { program, onLog, timeout }), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function listening(child, { program, onLog, timeout }) {
  return new Promise((resolve, reject) => {
    let said = '';
    const fail = (what) => reject(new Error(`${what}${said === '' ? '' : `\n${said.trim()}`}`));
    const timer = setTimeout(() => fail(`cairn did not start within ${timeout} ms`), timeout);
    const settle = (end, value) => {
      clearTimeout(timer);
      end(value);
    };
    child.once('error', (error) => {
      const hint = error.code === 'ENOENT' ? '; name it with the option "bin" or CAIRN_BIN' : '';
      settle(fail, `${program} could not be started: ${error.message}${hint}`);
    });
    child.once('exit', (code) => settle(fail, `cairn ended with ${code} before it listened`));
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text) => {
      onLog?.(text);
      said = (said + text).slice(-20_000);
      const [, url] = LISTENS.exec(said) ?? [];
      if (url !== undefined) settle(resolve, url);
      else if (DOES_NOT_BUILD.test(said)) settle(fail, 'the project does not build');
    });
  });
}
