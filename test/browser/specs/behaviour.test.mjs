// What people do that nobody planned for: they change their mind, click twice, go back, open a second tab, mistype, and
// browse without JavaScript.

import assert from 'node:assert/strict';
import { scenario } from '../lib/browser.mjs';
import { authorizationRequest, redeem } from '../lib/client.mjs';
import { openSignIn, people, pick, signedIn, way } from '../lib/pages.mjs';
import { suite } from '../lib/suite.mjs';

const s = suite();
const refused = /status of 4\d\d/; // the console's word on a page that says no, as it should

scenario('cancel at GitHub leads back to the other ways', s, {}, async ({ page, problems }) => {
  problems.allow(refused);
  await openSignIn(page, s.broker);
  await page.locator('#provider-github').click();
  await page.locator('button#cancel').click();
  await page.locator('#signin-form').waitFor();
  assert.match(await page.locator('body').innerText(), /You cancelled at GitHub/);
  await way.google(page);
  await signedIn(page, s.broker);
});

scenario('cancel at Google leads back to the other ways', s, {}, async ({ page, problems }) => {
  problems.allow(refused);
  await openSignIn(page, s.broker);
  await page.locator('#provider-google').click();
  await page.locator('button#cancel').click();
  await page.locator('#signin-form').waitFor();
  assert.match(await page.locator('body').innerText(), /You cancelled at Google/);
  await way.password(page, s.broker.user('bob'));
  await signedIn(page, s.broker);
});

scenario('cancel on the sign-in page leads back to the app, which says so', s, {}, async ({ page }) => {
  await openSignIn(page, s.broker);
  await page.locator('#cancel').click();
  await page.waitForURL((url) => url.origin === new URL(s.broker.dev.demo_url).origin);
  await page.waitForFunction(() => document.querySelector('#status')?.textContent.trim());
  await page.locator('#signin').waitFor();
});

scenario('a wrong password is told, keeps the name and forgets the password', s, {}, async ({ page, problems }) => {
  problems.allow(refused);
  const user = s.broker.user('alice');
  await openSignIn(page, s.broker);
  await way.password(page, { ...user, password: 'not the password' });
  const summary = page.locator('#error-summary');
  await summary.waitFor();
  assert.equal(await summary.getAttribute('role'), 'alert');
  assert.equal(await page.locator('#username').inputValue(), user.username);
  assert.equal(await page.locator('#password').inputValue(), '');
  await way.password(page, user);
  await signedIn(page, s.broker);
});

scenario('a double click on "Sign in" signs in once', s, {}, async ({ page }) => {
  const user = s.broker.user('alice');
  await openSignIn(page, s.broker);
  await page.locator('#username').fill(user.username);
  await page.locator('#password').fill(user.password);
  await page.locator('#signin-submit').dblclick();
  const { access } = await signedIn(page, s.broker);
  assert.equal(access.email, user.email);
});

scenario('a double click on the way to GitHub, and on the person there', s, {}, async ({ page }) => {
  await openSignIn(page, s.broker);
  await page.locator('#provider-github').dblclick();
  const [person] = await people(page);
  await page.locator(`button#as-${person}`).dblclick();
  await signedIn(page, s.broker);
});

scenario('back from GitHub, then another way', s, {}, async ({ page }) => {
  await openSignIn(page, s.broker);
  await page.locator('#provider-github').click();
  await people(page);
  await page.goBack();
  await page.locator('#signin-form').waitFor();
  await way.password(page, s.broker.user('bob'));
  const { access } = await signedIn(page, s.broker);
  assert.equal(access.email, s.broker.user('bob').email);
});

scenario('back after a sign-in, and the same form once more', s, {}, async ({ page, problems }) => {
  problems.allow(refused);
  await openSignIn(page, s.broker);
  await way.password(page, s.broker.user('alice'));
  await signedIn(page, s.broker);
  await page.goBack();
  if (await page.locator('#signin-form').isVisible()) await way.password(page, s.broker.user('alice'));
  await settledWithAWayOn(page);
});

scenario('back to the people of GitHub after the sign-in, and the same person once more', s, {}, async ({ page, problems }) => {
  problems.allow(refused);
  await openSignIn(page, s.broker);
  const person = await way.github(page);
  await signedIn(page, s.broker);
  for (let i = 0; i < 5 && !(await page.locator(`button#as-${person}`).isVisible()); i++) {
    if (await page.goBack() === null) break;
  }
  if (await page.locator(`button#as-${person}`).isVisible()) await pick(page, person);
  await settledWithAWayOn(page);
});

/** The one thing that must not happen is a dead end: there is the app, or a page with something to press. */
async function settledWithAWayOn(page) {
  await page.waitForLoadState('networkidle');
  const ways = await page.locator('a[href]:visible, button:visible').count();
  assert.ok(ways > 0, `a dead end at ${page.url()}`);
}

scenario('two tabs finish in the order they like', s, {}, async ({ page, context }) => {
  const other = await context.newPage();
  await openSignIn(page, s.broker);
  await openSignIn(other, s.broker);
  await page.locator('#provider-github').click();
  await other.locator('#provider-google').click();
  await people(page);
  await people(other);
  await pick(page);
  await signedIn(page, s.broker);
  await pick(other);
  await signedIn(other, s.broker);
});

scenario('two tabs with the same provider do not take each other\'s place', s, {}, async ({ page, context }) => {
  const other = await context.newPage();
  await openSignIn(page, s.broker);
  await openSignIn(other, s.broker);
  await page.locator('#provider-github').click();
  await other.locator('#provider-github').click();
  const [first] = await people(page);
  await pick(other, first);
  const there = await signedIn(other, s.broker);
  await pick(page, first);
  const here = await signedIn(page, s.broker);
  assert.equal(here.access.sub, there.access.sub);
});

const withoutScript = { javaScriptEnabled: false };

scenario('without JavaScript: the password form, first wrong, then right', s, withoutScript, async ({ page, problems }) => {
  problems.allow(refused);
  const user = s.broker.user('alice');
  const request = await authorizationRequest(s.broker, 'demo-spa');
  await page.goto(request.url.href);
  await way.password(page, { ...user, password: 'not the password' });
  await page.locator('#error-summary').waitFor();
  assert.equal(await page.locator('#username').inputValue(), user.username);
  await way.password(page, user);
  const tokens = await redeem(page, request);
  assert.equal(tokens.claims().iss, s.broker.issuer);
});

scenario('without JavaScript: through GitHub', s, withoutScript, async ({ page }) => {
  const request = await authorizationRequest(s.broker, 'demo-spa');
  await page.goto(request.url.href);
  await way.github(page);
  const tokens = await redeem(page, request);
  assert.ok(tokens.claims().sub);
});

scenario('a request with an unknown client stays on a page that names the error', s, {}, async ({ page, problems }) => {
  problems.allow(refused);
  const request = await authorizationRequest(s.broker, 'demo-spa');
  request.url.searchParams.set('client_id', 'nobody');
  await page.goto(request.url.href);
  assert.ok((await page.locator('#error-code').innerText()).trim());
  assert.ok((await page.locator('#request-id').innerText()).trim());
  assert.equal(new URL(page.url()).origin, new URL(s.broker.issuer).origin);
});

scenario('sign-out without a hint asks first', s, {}, async ({ page, problems }) => {
  problems.allow(refused); // by refusals the app learns that its tokens are over
  await openSignIn(page, s.broker);
  await way.password(page, s.broker.user('alice'));
  await signedIn(page, s.broker);
  await page.goto(`${s.broker.issuer}/end_session`);
  await page.locator('#signout-confirm').click();
  await page.waitForLoadState();
  await openSignIn(page, s.broker);
});
