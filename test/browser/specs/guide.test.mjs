// The guide keeps its word: every line on it is run, in the order of the page, and answers as it says.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { scenario } from '../lib/browser.mjs';
import { suite } from '../lib/suite.mjs';

const s = suite();

const open = (page) => page.goto(`${s.broker.issuer}/guide`);

/** The lines of a section: what is run, the status it promises, and the words it says the answer has. */
const linesOf = (page, section) => page.locator(`#${section} [data-line]`).evaluateAll((lines) => lines.map((line) => ({
  text: line.textContent, status: line.dataset.status,
  words: [...line.closest('li').querySelectorAll('.gives code')].map((code) => code.textContent),
})));

const sections = (page) => page.locator('section.entry').evaluateAll((all) => all.map((section) => section.id));

/** The variable that a line sets; undefined for a line that sets none. */
const variable = ({ text }) => /^([A-Z]+)=/.exec(text)?.[1];

/**
 * Runs lines in one shell, as a person would from the top of the page to its end, and returns what each printed, or set. A mark of our own
 * tells the status.
 */
async function run(lines) {
  const dir = await mkdtemp(path.join(tmpdir(), 'broker-guide-'));
  const script = lines.map((line) => {
    if (line.status) return line.text.replace(/^curl /, String.raw`curl -sS -w '\n@%{http_code}\n' `);
    return variable(line) ? `${line.text}\necho "$${variable(line)}"` : line.text;
  });
  try {
    const { stdout, stderr } = await promisify(execFile)('bash', ['-uc', script.join('\necho "@@"\n')], { cwd: dir });
    assert.equal(stderr, '', 'the shell or curl complains');
    return stdout.split('@@\n');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

scenario('every line is answered as it says', s, {}, async ({ page }) => {
  await open(page);
  const setup = await linesOf(page, 'setup');
  assert.ok(setup.length > 0, 'no line sets the variables');
  const { password } = s.broker.user('alice');
  for (const line of setup) line.text = line.text.replace('paste it here', password);
  const lines = setup.map((line) => ({ id: 'setup', ...line }));
  for (const id of await sections(page)) lines.push(...(await linesOf(page, id)).map((line) => ({ id, ...line })));
  const said = await run(lines);
  let asked = 0;
  for (const [i, line] of lines.entries()) {
    const { id, text, status, words } = line;
    const where = `${id}: ${text}\nsays ${said[i]}`;
    if (!status) {
      // What was taken out of an answer is one word: an answer that lacks it comes through whole.
      assert.ok(variable(line), `${where}: it promises no status and sets nothing`);
      if (variable(line) !== 'PASSWORD') assert.match(said[i], /^[\w.~-]+\n$/, where);
      continue;
    }
    asked++;
    assert.match(said[i], new RegExp(`@${status}\n$`), where);
    for (const word of words) assert.ok(said[i].toLowerCase().includes(word.toLowerCase()), `${where}\nshows no ${word}`);
  }
  assert.ok(asked >= 15, `only ${asked} lines were asked`);
});

scenario('every place it leads to is there', s, {}, async ({ page, context, problems }) => {
  await open(page);
  const links = await page.locator('main a').evaluateAll((all) => all.map((a) => a.href));
  assert.ok(links.length > 20);
  for (const link of new Set(links)) {
    const { hash } = new URL(link);
    if (hash) {
      assert.equal(await page.locator(hash).count(), 1, link);
      continue;
    }
    const other = await context.newPage();
    const response = await other.goto(link);
    assert.equal(response.status(), 200, link);
    await other.close();
  }
  problems.allow(/status of 401/); // the demo app asks who is signed in
});

scenario('it has the twelve rows, tells 401 from 403, and holds no secret', s, {}, async ({ page }) => {
  await open(page);
  const rows = await sections(page);
  assert.equal(rows.length, 12);
  assert.equal(await page.locator('#sheet tbody tr').count(), 12);
  assert.equal(await page.locator('#methods tbody tr').count(), 4);
  assert.match(await page.locator('#difference').innerText(), /Who are you\?[^]*401[^]*What may you do\?[^]*403/);
  // Whoever is told that something is not here yet finds no line for it, and the other way round.
  for (const id of rows) {
    const later = await page.locator(`#${id}[data-later]`).count();
    const tries = await page.locator(`#${id} [data-line], #${id} .places a`).count();
    assert.ok(id === 'guide' || (later > 0) !== (tries > 0), `${id}: later ${later}, tries ${tries}`);
  }
  const source = await page.content();
  for (const { password } of s.broker.dev.users) assert.ok(!source.includes(password), 'the page holds a password');
  for (const { client_secret: secret } of s.broker.dev.clients) assert.ok(!secret || !source.includes(secret), 'the page holds a secret');
  assert.doesNotMatch(source, /eyJ|rt_[\w-]{10}|bk_[\w-]{10}/);
});

scenario('a line is copied as it stands', s, { permissions: ['clipboard-read', 'clipboard-write'] }, async ({ page }) => {
  await open(page);
  const button = page.locator('#bearer button[data-copies]').first();
  await button.click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await page.locator('#bearer [data-line]').first().textContent());
});

scenario('it can be read without JavaScript', s, { javaScriptEnabled: false }, async ({ page }) => {
  await open(page);
  assert.match(await page.locator('#api-keys').innerText(), /X-API-Key/);
  assert.equal(await page.locator('button:visible').count(), 0, 'a button that does nothing');
});
