// The steps a person takes, named once. The element ids are the contract between pages and tests.

import assert from 'node:assert/strict';

/** Opens the demo app and presses its sign-in button; ends on the broker's sign-in page. */
export async function openSignIn(page, broker) {
  await page.goto(broker.dev.demo_url);
  await page.locator('#signin').click();
  await page.locator('#signin-form').waitFor();
}

/** Ways through the sign-in page. Each ends wherever the broker leads next. */
export const way = {
  async github(page, person) {
    await page.locator('#provider-github').click();
    return pick(page, person);
  },
  async google(page, person) {
    await page.locator('#provider-google').click();
    return pick(page, person);
  },
  async password(page, user) {
    await page.locator('#username').fill(user.username);
    await page.locator('#password').fill(user.password);
    await page.locator('#signin-submit').click();
  },
  /** A stranger's OpenID provider: its own sign-in page, then its own consent page. */
  async oidc(page, id, login) {
    await page.locator(`#provider-${id}`).click();
    await answerUpstream(page, login);
  },
};

/** Names of the people that a local upstream's picker offers. */
export async function people(page) {
  await page.locator('button[id^="as-"]').first().waitFor();
  const ids = await page.locator('button[id^="as-"]').evaluateAll((buttons) => buttons.map((button) => button.id));
  return ids.map((id) => id.slice('as-'.length));
}

/** Signs in as `person` at a local upstream, or as the first one it offers; returns who that was. */
export async function pick(page, person) {
  person ??= (await people(page))[0];
  await page.locator(`button#as-${person}`).click();
  return person;
}

/** Answers the page that asks for the password of the account one has already; it need not know the account's name. */
export async function provePassword(page, { username, password }) {
  const name = page.locator('#prove-form #username');
  if (await name.isEditable()) await name.fill(username);
  await page.locator('#prove-form #password').fill(password);
  await page.locator('#prove-form button[type=submit]').click();
}

/** Signs in at the oidc-provider package's development pages. */
export async function answerUpstream(page, login) {
  await page.locator('input[name=login]').fill(login);
  await page.locator('input[name=password]').fill('any');
  await page.locator('button[type=submit]').click();
  await page.getByRole('button', { name: 'Continue' }).click();
}

/** Waits until the demo app shows a person and returns what it shows. */
export async function signedIn(page, broker) {
  await page.waitForURL((url) => url.origin === new URL(broker.dev.demo_url).origin);
  await page.waitForFunction(() => document.querySelector('#user-name')?.textContent.trim());
  const text = async (id) => (await page.locator(id).textContent()).trim();
  return {
    name: await text('#user-name'),
    roles: await text('#user-roles'),
    id: JSON.parse(await text('#claims-id')),
    access: JSON.parse(await text('#claims-access')),
  };
}

/** Calls the demo's protected API and returns its answer. */
export async function callAPI(page) {
  const before = await page.locator('#api-result').textContent();
  await page.locator('#call-api').click();
  await page.waitForFunction((old) => {
    const now = document.querySelector('#api-result').textContent;
    return now.trim() && now !== old;
  }, before);
  return JSON.parse(await page.locator('#api-result').textContent());
}

/** Refreshes in the demo app and returns the claims of the new access token. */
export async function refresh(page) {
  const before = await page.locator('#claims-access').textContent();
  await page.locator('#refresh').click();
  await page.waitForFunction((old) => document.querySelector('#claims-access').textContent !== old, before);
  return JSON.parse(await page.locator('#claims-access').textContent());
}

/** Signs out of the demo app and of the broker; ends back in the demo app, where nobody is signed in. */
export async function signOut(page, broker) {
  await page.locator('#signout').click();
  await page.waitForURL((url) => url.origin === new URL(broker.dev.demo_url).origin);
  await page.locator('#signin').waitFor();
  assert.equal((await page.locator('#user-name').textContent()).trim(), '', 'the demo app still names a person');
}
