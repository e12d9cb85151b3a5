// The interactive documentation: sign in there by either flow, as people who know FastAPI expect, and try routes with what one got.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { desktop, phone, scenario } from '../lib/browser.mjs';
import { way } from '../lib/pages.mjs';
import { suite } from '../lib/suite.mjs';

const pictures = fileURLToPath(new URL('../artifacts/docs/', import.meta.url));
const s = suite();

async function open(page, host) {
  await page.goto(`${host ?? s.broker.issuer}/docs`);
  await page.locator('.opblock').first().waitFor();
}

async function picture(page, name) {
  await mkdir(pictures, { recursive: true });
  await page.screenshot({ path: path.join(pictures, `${name}.png`) });
}

/** The part of the Authorize dialog for one flow. */
async function flow(page, name) {
  await page.locator('.scheme-container .btn.authorize').click();
  const part = page.locator('.auth-container').filter({ hasText: new RegExp(`OAuth2, ${name}`) });
  await part.waitFor();
  return part;
}

async function closeDialog(page) {
  await page.locator('.auth-container .btn-done').first().click();
  await page.locator('.dialog-ux').waitFor({ state: 'detached' });
}

/** Opens an operation, presses "Try it out" and "Execute", and returns the live answer. `fill` runs in between. */
async function tryOut(page, method, route, fill = async () => {}) {
  const block = page.locator(`.opblock-${method}`).filter({ has: page.locator(`.opblock-summary-path[data-path="${route}"]`) });
  if (!await block.locator('.opblock-body').isVisible()) await block.locator('.opblock-summary-control').click();
  // The button is there once the operation has been drawn; in an operation tried before it says "Cancel".
  const button = block.locator('.try-out__btn');
  await button.waitFor();
  if ((await button.textContent()).includes('Try it out')) await button.click();
  await fill(block);
  await block.locator('.btn.execute').click();
  const live = block.locator('.live-responses-table .response').first();
  await live.waitFor();
  const status = Number(await live.locator('.response-col_status').textContent());
  const shown = live.locator('.response-col_description pre').first();
  const text = await shown.isVisible() ? await shown.textContent() : '';
  return { block, status, body: text.startsWith('{') ? JSON.parse(text) : text };
}

async function authorizeByPassword(page, username, choice) {
  const user = s.broker.user(username);
  const part = await flow(page, 'password');
  await part.locator('#oauth_username').fill(user.username);
  await part.locator('#oauth_password').fill(user.password);
  assert.equal(await part.locator('input[data-name="clientId"]').inputValue(), 'demo-cli');
  if (choice) await part.locator('#password_type').selectOption(choice);
  await part.locator('.btn.authorize').click();
  await part.locator('.btn', { hasText: 'Logout' }).waitFor();
  await closeDialog(page);
}

scenario('authorize by password, then see oneself, make a key and use it', s, {}, async ({ page }) => {
  await open(page);
  await picture(page, 'light');
  await authorizeByPassword(page, 'alice');
  const me = await tryOut(page, 'get', '/me');
  assert.equal(me.status, 200);
  assert.equal(me.body.username, 'alice');
  assert.equal(me.body.client_id, 'demo-cli');
  await me.block.scrollIntoViewIfNeeded();
  await picture(page, 'me');

  const made = await tryOut(page, 'post', '/api-keys');
  assert.equal(made.status, 201);
  await page.locator('.scheme-container .btn.authorize').click();
  const part = page.locator('.auth-container').filter({ hasText: 'apiKey (apiKey)' });
  await part.locator('input').fill(made.body.key);
  await part.locator('.btn.authorize').click();
  await closeDialog(page);
  const data = await tryOut(page, 'get', '/data');
  assert.equal(data.status, 200);
  assert.equal(data.body.owner.username, 'alice');
});

scenario('authorize by password with the client in the header, where a client without a secret cannot be', s, {}, async ({ page }) => {
  await open(page);
  await authorizeByPassword(page, 'bob', 'basic');
  assert.equal((await tryOut(page, 'get', '/me')).body.username, 'bob');
});

for (const [size, viewport] of Object.entries({ desktop, 'phone, 375 px': { width: 375, height: 667 } })) {
  scenario(`the Authorize dialog opens at its top, with the cursor where one signs in: ${size}`, s, { viewport }, async ({ page }) => {
    await open(page);
    const part = await flow(page, 'password');
    const seen = () => page.evaluate(() => {
      const dialog = document.querySelector('.modal-ux-content');
      const first = dialog.querySelector('.auth-container');
      const box = (element) => { const { top, bottom } = element.getBoundingClientRect(); return { top, bottom }; };
      return {
        focus: document.activeElement.id, scrolled: dialog.scrollTop, first: first.querySelector('h4').textContent,
        dialog: box(dialog), focused: box(document.activeElement), title: box(first.querySelector('h4')), window: innerHeight,
      };
    });
    const { focus, scrolled, first, dialog, focused, title, window } = await seen();
    assert.match(first, /password/);
    assert.equal(focus, 'oauth_username');
    assert.equal(scrolled, 0);
    assert.ok(title.top >= dialog.top && title.bottom <= Math.min(dialog.bottom, window), 'the name of the first form is out of sight');
    assert.ok(focused.top >= dialog.top && focused.bottom <= Math.min(dialog.bottom, window), 'the cursor is out of sight');
    await picture(page, `authorize-${viewport.width}`);
    // Whoever just types is signed in.
    const { username, password } = s.broker.user('alice');
    await page.keyboard.type(username);
    await page.keyboard.press('Tab');
    await page.keyboard.type(password);
    await page.keyboard.press('Enter');
    await part.locator('.btn', { hasText: 'Logout' }).waitFor();
    await closeDialog(page);
    // Opened again it begins at its top too, at the first thing to press.
    await flow(page, 'password');
    assert.equal((await seen()).scrolled, 0);
    assert.ok(await part.evaluate((element) => element.contains(document.activeElement)), 'the focus is in another form');
  });
}

scenario('a wrong password is told', s, {}, async ({ page, problems }) => {
  problems.allow(/status of 400/);
  await open(page);
  const part = await flow(page, 'password');
  await part.locator('#oauth_username').fill('alice');
  await part.locator('#oauth_password').fill('not the password');
  await part.locator('.btn.authorize').click();
  assert.match(await part.locator('.errors').innerText(), /Bad Request|invalid_grant/);
});

scenario('authorize by code and PKCE through the sign-in page, then see oneself', s, {}, async ({ page, context }) => {
  await open(page);
  const part = await flow(page, 'authorizationCode');
  assert.equal(await part.locator('input[data-name="clientId"]').inputValue(), 'demo-docs');
  const opened = context.waitForEvent('page');
  await part.locator('.btn.authorize').click();
  const popup = await opened;
  await popup.locator('#signin-form').waitFor();
  assert.ok(popup.url().startsWith(s.broker.issuer));
  const closed = popup.waitForEvent('close');
  await way.password(popup, s.broker.user('alice'));
  await closed;
  await part.locator('.btn', { hasText: 'Logout' }).waitFor();
  await picture(page, 'authorized');
  await closeDialog(page);
  const me = await tryOut(page, 'get', '/me');
  assert.equal(me.status, 200);
  assert.equal(me.body.username, 'alice');
  assert.equal(me.body.client_id, 'demo-docs');
});

scenario('without authorizing, the answer is 401 and says why', s, {}, async ({ page, problems }) => {
  problems.allow(/status of 401/);
  await open(page);
  const me = await tryOut(page, 'get', '/me');
  assert.equal(me.status, 401);
});

scenario('by the other name of this computer it leads to the address of the issuer', s, {}, async ({ page }) => {
  await open(page, s.broker.issuer.replace('localhost', '127.0.0.1'));
  assert.equal(page.url(), `${s.broker.issuer}/docs`);
});

for (const [name, options] of Object.entries({ dark: { colorScheme: 'dark' }, phone: { viewport: phone } })) {
  scenario(`it can be read: ${name}`, s, options, async ({ page }) => {
    await open(page);
    await picture(page, name);
    const [text, ground] = await page.evaluate(() => [
      getComputedStyle(document.querySelector('.info .title')).color, getComputedStyle(document.body).backgroundColor,
    ]);
    const light = (colour) => colour.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
    assert.ok(Math.abs(light(text) - light(ground)) > 300, `${text} on ${ground}`);
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(sideways <= 0, `${sideways} px wider than the window`);
  });
}
