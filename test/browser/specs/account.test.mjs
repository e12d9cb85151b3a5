// What people see and end about themselves: their sessions and their API keys; and the way back to these pages through a sign-in.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { desktop, phone, scenario } from '../lib/browser.mjs';
import { pick, way } from '../lib/pages.mjs';
import { suite } from '../lib/suite.mjs';

const pictures = fileURLToPath(new URL('../artifacts/account/', import.meta.url));
const s = suite();

const at = (name) => `${s.broker.issuer}${name}`;

/** Opens a page that needs a sign-in, and signs in. */
async function open(page, name, username = 'alice') {
  await page.goto(at(name));
  await way.password(page, s.broker.user(username));
  await page.waitForURL((url) => url.pathname === name);
}

async function picture(page, name) {
  await mkdir(pictures, { recursive: true });
  await page.screenshot({ path: path.join(pictures, `${name}.png`), fullPage: true });
}

/** Signs somebody in without a page, as their other devices do. */
async function elsewhere(username, userAgent) {
  const { password } = s.broker.user(username);
  const answer = await fetch(at('/login'), {
    method: 'POST', headers: { 'Content-Type': 'application/json', 'User-Agent': userAgent }, body: JSON.stringify({ username, password }),
  });
  assert.equal(answer.status, 200);
  return answer.headers.get('set-cookie').split(';')[0];
}

const isIn = async (cookie) => (await fetch(at('/dashboard'), { headers: { Cookie: cookie, Accept: 'application/json' } })).status === 200;

async function make(page, name) {
  await page.locator('#name').fill(name);
  await page.locator('#create-submit').click();
  await page.locator('#made').waitFor();
  return page.locator('#key').textContent();
}

const callData = async (key) => (await fetch(at('/data'), { headers: { 'X-API-Key': key } })).status;

const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';

scenario('from the dashboard to the sessions; end one, then all others', s, {}, async ({ page }) => {
  const [one, two, three] = [await elsewhere('alice', firefox), await elsewhere('alice', 'curl/8.5.0'), await elsewhere('alice', 'curl/8.5.0')];
  await open(page, '/dashboard');
  await page.locator('#tab-sessions').click();
  assert.equal(await page.locator('#tab-sessions').getAttribute('aria-current'), 'page');
  const rows = page.locator('#sessions > li');
  assert.match(await rows.first().innerText(), /Chrome on Linux This device[^]*Sign out/);
  const end = page.getByRole('button', { name: 'End: Firefox on Linux' });
  await end.click();
  assert.match(await page.locator('#confirm').innerText(), /End this session\?[^]*Firefox on Linux/);
  await page.locator('#confirm-no').click();
  await page.locator('#confirm').waitFor({ state: 'hidden' });
  assert.ok(await end.evaluate((button) => button === document.activeElement), 'the focus is lost after a cancel');
  assert.ok(await isIn(one), 'a cancel ended the session');
  await end.click();
  await page.locator('#confirm-yes').click();
  await page.locator('#notice[data-code=session_ended]').waitFor();
  assert.deepEqual([await isIn(one), await isIn(two), await isIn(three)], [false, true, true]);
  await page.locator('#end-others-submit').click();
  await page.locator('#confirm-yes').click();
  await page.locator('#notice[data-code=sessions_ended]').waitFor();
  assert.deepEqual([await isIn(two), await isIn(three)], [false, false]);
  assert.match(await page.locator('#sessions').innerText(), /No other sessions/);
  await page.locator('#sessions button', { hasText: 'Sign out' }).click();
  await page.locator('#signedout-again').waitFor();
});

scenario('make a key, copy it, use it, revoke it', s, { permissions: ['clipboard-read', 'clipboard-write'] }, async ({ page }) => {
  await open(page, '/dashboard', 'root');
  await page.locator('#tab-keys').click();
  assert.match(await page.locator('#keys').innerText(), /No API keys yet[^]*Prefer OAuth/);
  const key = await make(page, 'Nightly export');
  assert.ok(await page.locator('#made').evaluate((made) => made === document.activeElement), 'the new key has not the focus');
  await page.locator('#key-copy').click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), key);
  assert.equal(await page.locator('#key-curl').textContent(), `curl ${at('/data')} -H "X-API-Key: ${key}"`);
  assert.equal(await callData(key), 200);
  await page.locator('#key-saved').click();
  await page.locator('#made').waitFor({ state: 'detached' });
  assert.ok(!(await page.content()).includes(key), 'the page still has the key');
  await page.getByRole('button', { name: 'Revoke: Nightly export' }).click();
  assert.match(await page.locator('#confirm').innerText(), /Revoke “Nightly export”\?/);
  await page.keyboard.press('Escape');
  assert.equal(await callData(key), 200);
  await page.getByRole('button', { name: 'Revoke: Nightly export' }).click();
  await page.locator('#confirm-yes').click();
  await page.locator('#notice[data-code=key_revoked]').waitFor();
  assert.equal(await callData(key), 403);
});

scenario('without JavaScript: a key made and revoked, a session ended', s, { javaScriptEnabled: false }, async ({ page }) => {
  const other = await elsewhere('bob', firefox);
  await open(page, '/api-keys', 'bob');
  await page.locator('#name').fill('By hand');
  await page.locator('#create-submit').click();
  const key = await page.locator('#key').textContent();
  assert.equal(await callData(key), 200);
  assert.equal(await page.locator('button[data-copies]:visible').count(), 0, 'a button that does nothing');
  await page.locator('#key-saved').click();
  await page.getByRole('button', { name: 'Revoke: By hand' }).click();
  await page.locator('#notice[data-code=key_revoked]').waitFor();
  assert.equal(await callData(key), 403);
  await page.locator('#tab-sessions').click();
  await page.getByRole('button', { name: 'End: Firefox on Linux' }).click();
  await page.locator('#notice[data-code=session_ended]').waitFor();
  assert.equal(await isIn(other), false);
});

scenario('what is wrong with a form is told, and what was typed survives', s, {}, async ({ page, problems }) => {
  problems.allow(/status of 400/);
  await open(page, '/api-keys', 'bob');
  await page.locator('#name').fill('Nothing chosen');
  for (const box of await page.locator('#scopes input:checked').all()) await box.uncheck();
  await page.locator('#create-submit').click();
  await page.locator('#error-summary').waitFor();
  assert.equal(await page.locator('#name').inputValue(), 'Nothing chosen');
  await page.locator('#error-summary a').click();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'scopes');
});

for (const name of ['/sessions', '/api-keys', '/tools/policy']) {
  scenario(`a sign-in leads back to ${name}: GitHub and Google`, s, {}, async ({ page, context }) => {
    for (const provider of ['github', 'google']) {
      await context.clearCookies();
      await page.goto(at(name));
      await page.locator(`#provider-${provider}`).click();
      await pick(page);
      await page.waitForURL((url) => url.origin === new URL(s.broker.issuer).origin && url.pathname === name);
    }
  });
}

for (const colorScheme of ['light', 'dark']) {
  for (const [size, viewport] of Object.entries({ desktop, phone })) {
    scenario(`pictures: ${colorScheme}, ${size}`, s, { colorScheme, viewport }, async ({ page, problems }) => {
      problems.allow(/status of 400/);
      const name = (what) => `${what}-${colorScheme}-${size}`;
      await elsewhere('alice', firefox);
      await open(page, '/dashboard');
      await picture(page, name('dashboard'));
      await page.locator('#tab-sessions').click();
      await page.locator('#end-others').waitFor();
      await picture(page, name('sessions'));
      await page.locator('#end-others-submit').click();
      await picture(page, name('confirm'));
      await page.locator('#confirm-no').click();
      await page.locator('#tab-keys').click();
      await page.locator('#create-form').waitFor();
      await picture(page, name('keys'));
      await make(page, 'Nightly export');
      await picture(page, name('made'));
      await page.locator('#key-saved').click();
      await page.locator('#made').waitFor({ state: 'detached' });
      for (const box of await page.locator('#scopes input:checked').all()) await box.uncheck();
      await page.locator('#name').fill('x');
      await page.locator('#create-submit').click();
      await page.locator('#error-summary').waitFor();
      await picture(page, name('wrong'));
      const sideways = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(sideways <= 0, `${sideways} px wider than the window`);
    });
  }
}
