// The main job: from the demo app through each way in, back to the app, an API's answer, a refresh, and out again.

import assert from 'node:assert/strict';
import { scenario } from '../lib/browser.mjs';
import { callAPI, openSignIn, pick, refresh, signedIn, signOut, way } from '../lib/pages.mjs';
import { suite } from '../lib/suite.mjs';

const s = suite();

/** What must hold for everyone who arrives in the demo app, whichever way they came. */
async function useTheApp(page) {
  const shown = await signedIn(page, s.broker);
  assert.equal(shown.id.iss, s.broker.issuer);
  assert.equal(shown.id.aud, 'demo-spa');
  assert.equal(shown.access.iss, s.broker.issuer);
  assert.equal(shown.access.client_id, 'demo-spa');
  assert.equal(shown.access.sub, shown.id.sub);
  assert.ok(Array.isArray(shown.access.roles), 'an access token names roles');
  for (const role of shown.access.roles) assert.ok(shown.roles.includes(role), `${shown.roles} does not show ${role}`);

  const answer = await callAPI(page);
  assert.ok(JSON.stringify(answer).includes(shown.access.sub), `the API answered ${JSON.stringify(answer)}`);

  const renewed = await refresh(page);
  assert.equal(renewed.sub, shown.access.sub);
  assert.notEqual(renewed.jti, shown.access.jti);
  await callAPI(page);
  return shown;
}

async function leaveAndReturn(page) {
  await signOut(page, s.broker);
  await page.locator('#signin').click();
  await page.locator('#signin-form').waitFor();
}

scenario('through the local GitHub', s, {}, async ({ page }) => {
  await openSignIn(page, s.broker);
  await way.github(page);
  await useTheApp(page);
  await leaveAndReturn(page);
});

scenario('through the local Google', s, {}, async ({ page }) => {
  await openSignIn(page, s.broker);
  await way.google(page);
  const shown = await useTheApp(page);
  assert.ok(shown.name, 'Google gives a name');
  await leaveAndReturn(page);
});

scenario('straight to GitHub, by the hint of the app', s, {}, async ({ page }) => {
  await page.goto(s.broker.dev.demo_url);
  await page.locator('#signin-github').click();
  await pick(page);
  await useTheApp(page);
});

for (const username of ['alice', 'bob', 'root']) {
  scenario(`through the password form, as ${username}`, s, {}, async ({ page }) => {
    const user = s.broker.user(username);
    await openSignIn(page, s.broker);
    await way.password(page, user);
    const shown = await useTheApp(page);
    assert.deepEqual(shown.access.roles.toSorted(), user.roles.toSorted());
    assert.equal(shown.access.email, user.email);
    await leaveAndReturn(page);
  });
}

scenario('every person of the local upstreams can sign in, and is the same person the next time', s, {}, async ({ page }) => {
  const accounts = {
    github: { octavia: 1, ada: 2, noor: 3, sam: 4, 'robin-before': 5, 'robin-after': 5 }, // one account, renamed
    google: { wren: 6, gil: 7, uli: 8 }, // ada has an account already: see the spec of linking
  };
  const subjects = new Map();
  for (const [upstream, everyone] of [...Object.entries(accounts), ...Object.entries(accounts)]) {
    for (const [person, account] of Object.entries(everyone)) {
      await openSignIn(page, s.broker);
      await way[upstream](page, person);
      const { access } = await signedIn(page, s.broker);
      assert.equal(access.sub, subjects.get(account) ?? access.sub, `${person} of ${upstream} came back as someone else`);
      subjects.set(account, access.sub);
      await signOut(page, s.broker);
    }
  }
  assert.equal(new Set(subjects.values()).size, subjects.size, 'two people share an account');
});

scenario('a session spares the second sign-in', s, {}, async ({ page, context }) => {
  await openSignIn(page, s.broker);
  await way.password(page, s.broker.user('alice'));
  const first = await signedIn(page, s.broker);
  const again = await context.newPage();
  await again.goto(s.broker.dev.demo_url);
  await again.locator('#signin').click();
  const second = await signedIn(again, s.broker);
  assert.equal(second.access.sub, first.access.sub);
});

for (const [username, status] of [['alice', 201], ['bob', 403], ['root', 201]]) {
  scenario(`the API answers ${status} when ${username} writes`, s, {}, async ({ page, problems }) => {
    if (status === 403) problems.allow(/status of 403/);
    await openSignIn(page, s.broker);
    await way.password(page, s.broker.user(username));
    const { access } = await signedIn(page, s.broker);
    const answered = page.waitForResponse((response) => response.url().endsWith('/api/notes'));
    await page.locator('#add-note').click();
    assert.equal((await answered).status(), status);
    await page.waitForFunction(() => document.querySelector('#api-result').textContent.trim());
    const answer = JSON.parse(await page.locator('#api-result').textContent());
    if (status === 201) assert.equal(answer.author, access.sub);
    else assert.deepEqual(answer.required_roles, ['editor', 'admin']);
  });
}

scenario('a reload keeps the person, another tab knows nobody, and neither does the app after an answer it did not ask for', s, {}, async ({ page, context }) => {
  await openSignIn(page, s.broker);
  await way.password(page, s.broker.user('alice'));
  const first = await signedIn(page, s.broker);
  await page.reload();
  assert.deepEqual((await signedIn(page, s.broker)).access, first.access);

  const other = await context.newPage();
  await other.goto(`${s.broker.dev.demo_url}/callback?code=a.b&state=made-up&iss=${encodeURIComponent(s.broker.issuer)}`);
  await other.locator('#signin').waitFor();
  assert.match(await other.locator('#status').textContent(), /did not ask for that sign-in/);
  assert.equal(new URL(other.url()).search, '', 'the code stays in the address');
});

scenario('the app works under its other name too', s, {}, async ({ page }) => {
  const { port } = new URL(s.broker.dev.demo_url);
  await page.goto(`http://localhost:${port}`);
  await page.locator('#signin').click();
  await way.password(page, s.broker.user('alice'));
  await page.waitForURL(`http://localhost:${port}/`);
  await page.waitForFunction(() => document.querySelector('#user-name').textContent.trim());
  await callAPI(page);
  await page.locator('#signout').click();
  await page.locator('#signin').waitFor();
  assert.match(await page.locator('#status').textContent(), /signed out/);
});
