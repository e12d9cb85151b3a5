// A real OpenID provider that nobody here wrote, as an upstream from broker.yaml.

import assert from 'node:assert/strict';
import { after } from 'node:test';
import { scenario } from '../lib/browser.mjs';
import { provider } from '../lib/config.mjs';
import { startUpstream } from '../lib/oidc-upstream.mjs';
import { callAPI, openSignIn, signedIn, signOut, way } from '../lib/pages.mjs';
import { freePort } from '../lib/ports.mjs';
import { suite } from '../lib/suite.mjs';

const refused = /status of 4\d\d/;
let upstream;

const s = suite({
  prepare: async () => {
    const port = await freePort();
    upstream = await startUpstream({
      redirectURI: `http://localhost:${port}/callback/acme`,
      accounts: { jo: { email: 'jo@acme.example', email_verified: true } },
    });
    return { port, config: provider('acme', upstream) };
  },
});
after(() => upstream?.stop());

scenario('a person of the provider signs in, and is the same person the next time', s, {}, async ({ page, context }) => {
  await openSignIn(page, s.broker);
  await way.oidc(page, 'acme', 'jo');
  const first = await signedIn(page, s.broker);
  assert.equal(first.access.email, 'jo@acme.example');
  await callAPI(page);
  await signOut(page, s.broker);

  await context.clearCookies();
  await openSignIn(page, s.broker);
  await way.oidc(page, 'acme', 'jo');
  const second = await signedIn(page, s.broker);
  assert.equal(second.access.sub, first.access.sub);
});

scenario('cancel at the provider leads back to the other ways', s, {}, async ({ page, problems }) => {
  problems.allow(refused);
  await openSignIn(page, s.broker);
  await page.locator('#provider-acme').click();
  await page.getByText('[ Cancel ]').click();
  await page.locator('#signin-form').waitFor();
  assert.match(await page.locator('body').innerText(), /You cancelled at Acme/);
});

scenario('a person without an address signs in all the same', s, {}, async ({ page }) => {
  await openSignIn(page, s.broker);
  await way.oidc(page, 'acme', 'nameless');
  const { access } = await signedIn(page, s.broker);
  assert.ok(access.sub);
  assert.ok(!access.email, `an address from nowhere: ${access.email}`);
});
