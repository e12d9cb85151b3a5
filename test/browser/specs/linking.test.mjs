// One person, two ways in: the same verified address on another account merges nothing until the person proves the way in
// that the account has already. Each scenario has people of its own, since what is linked stays linked.

import assert from 'node:assert/strict';
import { after } from 'node:test';
import { scenario } from '../lib/browser.mjs';
import { provider } from '../lib/config.mjs';
import { startUpstream } from '../lib/oidc-upstream.mjs';
import { openSignIn, pick, provePassword, signedIn, signOut, way } from '../lib/pages.mjs';
import { freePort } from '../lib/ports.mjs';
import { suite } from '../lib/suite.mjs';

const refused = /status of 4\d\d/; // the console's word on a page that says no, as it should
let upstream;

const s = suite({
  prepare: async () => {
    const port = await freePort();
    upstream = await startUpstream({ redirectURI: `http://localhost:${port}/callback/acme` });
    return { port, config: provider('acme', upstream) };
  },
});
after(() => upstream?.stop());

const atAcme = (login, email) => { upstream.accounts[login] = { email, email_verified: true }; };

/** Signs in by one way in a browser that remembers nobody, and returns what the app shows; then signs out again. */
async function visit({ page, context }, through, ...who) {
  await context.clearCookies();
  await openSignIn(page, s.broker);
  await way[through](page, ...who);
  const shown = await signedIn(page, s.broker);
  await signOut(page, s.broker);
  return shown;
}

async function arriveAtProof({ page, context }, through, ...who) {
  await context.clearCookies();
  await openSignIn(page, s.broker);
  await way[through](page, ...who);
}

scenario('Ada comes from Google after GitHub: GitHub proves it, and then both lead to one person', s, {}, async (browser) => {
  const { page } = browser;
  const before = await visit(browser, 'github', 'ada');

  await arriveAtProof(browser, 'google', 'ada');
  await page.locator('#prove-github').click();
  await pick(page, 'ada');
  await page.locator('#link-confirm').click();
  const linked = await signedIn(page, s.broker);
  assert.equal(linked.access.sub, before.access.sub);
  await signOut(page, s.broker);

  const byGoogle = await visit(browser, 'google', 'ada');
  const byGitHub = await visit(browser, 'github', 'ada');
  assert.equal(byGoogle.access.sub, before.access.sub);
  assert.equal(byGitHub.access.sub, before.access.sub);
});

scenario('the account came from Google: Google proves it', s, {}, async (browser) => {
  const { page } = browser;
  const before = await visit(browser, 'google', 'gil');
  atAcme('gil-at-acme', 'gil@example.com');

  await arriveAtProof(browser, 'oidc', 'acme', 'gil-at-acme');
  await page.locator('#prove-google').click();
  await pick(page, 'gil');
  await page.locator('#link-confirm').click();
  const linked = await signedIn(page, s.broker);
  assert.equal(linked.access.sub, before.access.sub);
});

scenario('the account has a password: a wrong one proves nothing, the right one does', s, {}, async (browser) => {
  const { page, problems } = browser;
  problems.allow(refused);
  const alice = s.broker.user('alice');
  atAcme('alice-at-acme', alice.email);

  await arriveAtProof(browser, 'oidc', 'acme', 'alice-at-acme');
  await page.locator('#prove-form').waitFor();
  await provePassword(page, { ...alice, password: 'not the password' });
  await page.locator('#error-summary').waitFor();
  await provePassword(page, alice);
  await page.locator('#link-confirm').click();
  const linked = await signedIn(page, s.broker);
  assert.deepEqual(linked.access.roles, alice.roles);
  await signOut(page, s.broker);

  const later = await visit(browser, 'oidc', 'acme', 'alice-at-acme');
  assert.equal(later.access.sub, linked.access.sub);
});

scenario('somebody else\'s proof proves nothing and links nothing', s, {}, async (browser) => {
  const { page, problems } = browser;
  problems.allow(refused);
  const sam = await visit(browser, 'github', 'sam');
  atAcme('sam-at-acme', 'sam@example.org');

  await arriveAtProof(browser, 'oidc', 'acme', 'sam-at-acme');
  await page.locator('#prove-github').click();
  await pick(page, 'octavia');
  await page.waitForLoadState('networkidle');
  assert.equal(await page.locator('#link-confirm').count(), 0, 'a stranger may confirm the link');
  assert.notEqual(new URL(page.url()).origin, new URL(s.broker.dev.demo_url).origin, 'a stranger is signed in');

  await arriveAtProof(browser, 'oidc', 'acme', 'sam-at-acme');
  await page.locator('#prove-github').waitFor();
  const after = await visit(browser, 'github', 'sam');
  assert.equal(after.access.sub, sam.access.sub);
});
