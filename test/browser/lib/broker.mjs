// Starts `broker dev` for a test, on ports of its own and in a folder of its own.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const startTimeout = 30_000;
const stopTimeout = 12_000; // the broker promises to end within 10 s of SIGTERM

/**
 * Builds the binary and returns its path. The runner does it once and says where in BROKER_TEST_BIN; a spec run by hand builds
 * for itself, and Go's build cache makes that cheap.
 */
export async function buildBroker() {
  if (process.env.BROKER_TEST_BIN) return process.env.BROKER_TEST_BIN;
  const binary = path.join(await mkdtemp(path.join(tmpdir(), 'broker-bin-')), 'broker');
  await promisify(execFile)('go', ['build', '-o', binary, './cmd/broker'], { cwd: root });
  process.env.BROKER_TEST_BIN = binary;
  return binary;
}

/** A running broker: what dev.json says about it, and how to end it. */
export class Broker {
  #process;
  #said = '';

  constructor(child, dir) {
    this.#process = child;
    this.dir = dir;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => { this.#said += text; });
    }
  }

  /** Everything it printed so far. */
  get output() { return this.#said; }

  get issuer() { return this.dev.issuer; }

  get exitCode() { return this.#process.exitCode; }

  user(username) { return find(this.dev.users, 'username', username); }

  client(id) { return find(this.dev.clients, 'client_id', id); }

  /** Waits for dev.json, which is written when everything listens. */
  async ready() {
    const deadline = Date.now() + startTimeout;
    while (Date.now() < deadline) {
      if (this.#process.exitCode !== null) break;
      try {
        this.dev = JSON.parse(await readFile(path.join(this.dir, 'dev.json'), 'utf8'));
        return this;
      } catch {
        await sleep(50);
      }
    }
    throw new Error(`the broker did not become ready (exit code ${this.#process.exitCode}):\n${this.#said}`);
  }

  /** Ends it as an operator would, and insists that it obeys. */
  async stop() {
    if (this.#process.exitCode === null) {
      const ended = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      const late = setTimeout(() => this.#process.kill('SIGKILL'), stopTimeout);
      await ended;
      clearTimeout(late);
    }
    await rm(this.dir, { recursive: true, force: true });
    if (this.#process.exitCode !== 0) {
      throw new Error(`the broker ended with ${this.#process.exitCode ?? this.#process.signalCode}, want 0:\n${this.#said}`);
    }
  }
}

/**
 * Starts a broker and waits until it is ready. `config` is the text of the broker.yaml that lies in its working directory;
 * `port` is its own port where something must know it beforehand.
 */
export async function startBroker({ config, port = 0, args = [], env = {} } = {}) {
  const binary = await buildBroker();
  const dir = await mkdtemp(path.join(tmpdir(), 'broker-dev-'));
  if (config) await writeFile(path.join(dir, 'broker.yaml'), config);
  const child = spawn(binary, [
    'dev', '--listen', `127.0.0.1:${port}`, '--demo-listen', '127.0.0.1:0', '--data', dir, ...args,
  ], { cwd: dir, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const broker = new Broker(child, dir);
  try {
    return await broker.ready();
  } catch (error) {
    child.kill('SIGKILL');
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

function find(list, key, value) {
  const found = list.find((item) => item[key] === value);
  if (!found) throw new Error(`dev.json names no ${key} ${value}: ${list.map((item) => item[key])}`);
  return found;
}
