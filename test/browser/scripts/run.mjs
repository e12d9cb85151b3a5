// Runs every spec, one file after the other: each has a browser and a broker of its own, and two cores are enough for one.
//
//   node scripts/run.mjs [--counts FILE] [--left-out FILE] [SPEC...]

import { createWriteStream } from 'node:fs';
import { appendFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildBroker } from '../lib/broker.mjs';

const here = fileURLToPath(new URL('../', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { counts: { type: 'string' }, 'left-out': { type: 'string' } },
});

const specs = positionals.length > 0
  ? positionals.map((file) => path.resolve(file))
  : (await readdir(path.join(here, 'specs'))).filter((file) => file.endsWith('.test.mjs')).sort()
    .map((file) => path.join(here, 'specs', file));

await rm(path.join(here, 'artifacts'), { recursive: true, force: true });
const given = process.env.BROKER_TEST_BIN;
const binary = await buildBroker();

const counts = { pass: 0, fail: 0, skipped: 0 };
const skips = [];
const stream = run({ files: specs, concurrency: false, timeout: 10 * 60_000 });
stream.on('test:diagnostic', ({ nesting, message }) => {
  const [, word, n] = /^(pass|fail|cancelled|skipped) (\d+)$/.exec(message) ?? [];
  if (nesting !== 0 || !word) return;
  counts[word === 'cancelled' ? 'fail' : word] += Number(n);
});
stream.on('test:pass', ({ name, skip }) => {
  if (skip !== undefined) skips.push(`browser test "${name}": ${skip === true ? 'no reason given' : skip}\n`);
});
stream.on('end', async () => {
  if (values.counts) await writeFile(values.counts, `${counts.pass} ${counts.fail} ${counts.skipped}\n`);
  if (values['left-out']) await appendFile(values['left-out'], skips.join(''));
  if (!given) await rm(path.dirname(binary), { recursive: true, force: true });
  process.exitCode = counts.fail > 0 || counts.pass === 0 ? 1 : 0;
});
stream.compose(new spec()).pipe(createWriteStream('', { fd: 1, autoClose: false }));
