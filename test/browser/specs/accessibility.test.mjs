// axe finds nothing to complain about, on any page, light or dark, on a desk or in a hand; and no page scrolls sideways.

import assert from 'node:assert/strict';
import axe from 'axe-core';
import { after } from 'node:test';
import { desktop, phone, scenario } from '../lib/browser.mjs';
import { authorizationRequest } from '../lib/client.mjs';
import { provider } from '../lib/config.mjs';
import { startUpstream } from '../lib/oidc-upstream.mjs';
import { openSignIn, people, provePassword, signedIn, way } from '../lib/pages.mjs';
import { freePort } from '../lib/ports.mjs';
import { suite } from '../lib/suite.mjs';

let upstream;
const s = suite({
  prepare: async () => {
    const port = await freePort();
    upstream = await startUpstream({ redirectURI: `http://localhost:${port}/callback/acme` });
    return { port, config: provider('acme', upstream) };
  },
});
after(() => upstream?.stop());

/** Each page by its name, and the way to it. */
const pages = {
  'demo app, signed out': async (page) => {
    await page.goto(s.broker.dev.demo_url);
    await page.locator('#signin').waitFor();
  },
  'demo app, signed in': async (page) => {
    await openSignIn(page, s.broker);
    await way.password(page, s.broker.user('alice'));
    await signedIn(page, s.broker);
  },
  'sign-in': (page) => openSignIn(page, s.broker),
  'sign-in after a wrong password': async (page) => {
    await openSignIn(page, s.broker);
    await way.password(page, { username: 'alice', password: 'not the password' });
    await page.locator('#error-summary').waitFor();
  },
  'sign-in after a cancel': async (page) => {
    await openSignIn(page, s.broker);
    await page.locator('#provider-github').click();
    await page.locator('button#cancel').click();
    await page.locator('#signin-form').waitFor();
  },
  'people of the local GitHub': async (page) => {
    await openSignIn(page, s.broker);
    await page.locator('#provider-github').click();
    await people(page);
  },
  'people of the local Google': async (page) => {
    await openSignIn(page, s.broker);
    await page.locator('#provider-google').click();
    await people(page);
  },
  'prove the way you sign in already': async (page) => {
    await prove(page, 'bob');
  },
  'confirm the link': async (page) => {
    await prove(page, 'root');
    await provePassword(page, s.broker.user('root'));
    await page.locator('#link-confirm').waitFor();
  },
  'error': async (page) => {
    const request = await authorizationRequest(s.broker, 'demo-spa');
    request.url.searchParams.set('client_id', 'nobody');
    await page.goto(request.url.href);
    await page.locator('#error-code').waitFor();
  },
  'signed in at the broker': async (page) => {
    await pages['demo app, signed in'](page);
    await page.goto(`${s.broker.issuer}/dashboard`);
  },
  'sessions': async (page) => {
    await pages['signed in at the broker'](page);
    await page.locator('#tab-sessions').click();
    await page.locator('#sessions').waitFor();
  },
  'sessions, asked whether to end one': async (page) => {
    await fetch(`${s.broker.issuer}/login`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username: 'alice', password: s.broker.user('alice').password }),
    });
    await pages.sessions(page);
    await page.locator('button[data-confirm]').first().click();
    await page.locator('#confirm[open]').waitFor();
  },
  'API keys': async (page) => {
    await pages['signed in at the broker'](page);
    await page.locator('#tab-keys').click();
    await page.locator('#create-form').waitFor();
  },
  'a new API key': async (page) => {
    await pages['API keys'](page);
    await page.locator('#name').fill('Nightly export');
    await page.locator('#create-submit').click();
    await page.locator('#made').waitFor();
  },
  'API keys, one that ended, and a form that is wrong': async (page) => {
    await pages['a new API key'](page);
    await page.locator('#key-saved').click();
    await page.locator('button[data-confirm]').first().click();
    await page.locator('#confirm-yes').click();
    await page.locator('#notice').waitFor();
    await page.locator('#ended summary').click();
    await page.locator('#scopes input:checked').uncheck();
    await page.locator('#name').fill('x');
    await page.locator('#create-submit').click();
    await page.locator('#error-summary').waitFor();
  },
  'sign-out': async (page) => {
    await pages['demo app, signed in'](page);
    await page.goto(`${s.broker.issuer}/end_session`);
    await page.locator('#signout-confirm').waitFor();
  },
  'guide': (page) => page.goto(`${s.broker.issuer}/guide`),
  'decoder': async (page) => {
    await page.goto(`${s.broker.issuer}/tools/jwt`);
    await page.locator('#decoder').waitFor();
  },
  'decoder with a token': async (page) => {
    await pages.decoder(page);
    await page.locator('#token-example').click();
    await page.locator('#verdict[data-level=good]').waitFor();
  },
  'decoder with findings': async (page) => {
    await pages['decoder with a token'](page);
    const [head, , signature] = (await page.locator('#token').inputValue()).split('.');
    const claims = Buffer.from(JSON.stringify({ exp: 1_700_000_000_000, aud: ['a', 'b'], realm_access: { roles: ['x'] } })).toString('base64url');
    await page.locator('#token').fill(JSON.stringify({ access_token: `${head}.${claims}.${signature}`, id_token: `${head}.e30.` }));
    await page.locator('#findings [data-level=error]').first().waitFor();
    await page.locator('#keys').fill('a secret');
    await page.locator('#encoding').waitFor();
    await page.locator('#known summary').click();
  },
  'decoder with a minted token': async (page) => {
    await pages['decoder with a token'](page);
    await openMint(page);
    await page.locator('#mint-alg').selectOption('HS256');
    await page.locator('#mint-sign').click();
    await page.locator('#mint-answer[data-level=good]').waitFor();
    await page.locator('#mint-alg').selectOption('ES256');
    await page.locator('[data-fault=expired]').click();
    await page.locator('#mint-keys summary').click();
  },
  'decoder with nothing to mint': async (page) => {
    await pages.decoder(page);
    await openMint(page);
    await page.locator('#mint-alg').selectOption('HS256');
    await page.locator('#mint-secret').fill('');
    await page.locator('#mint-sign').click();
    await page.locator('#mint-secret[aria-invalid]').waitFor();
    await page.locator('#mint-claims').fill('{');
    await page.locator('#mint-sign').click();
    await page.locator('#mint-claims[aria-invalid]').waitFor();
  },
  'signed out': async (page) => {
    await pages['sign-out'](page);
    await page.locator('#signout-confirm').click();
    await page.waitForLoadState();
  },
};

async function openMint(page) {
  await page.locator('#mint > summary').click();
  await page.waitForFunction(() => document.querySelector('#mint-claims').value !== '');
}

async function prove(page, username) {
  const login = `${username}-at-acme`;
  upstream.accounts[login] = { email: s.broker.user(username).email, email_verified: true };
  await openSignIn(page, s.broker);
  await way.oidc(page, 'acme', login);
  await page.locator('#prove-form').waitFor();
}

for (const [name, visit] of Object.entries(pages)) {
  for (const colorScheme of ['light', 'dark']) {
    for (const [size, viewport] of Object.entries({ desktop, phone })) {
      scenario(`${name}, ${colorScheme}, ${size}`, s, { colorScheme, viewport }, async ({ page, problems }) => {
        problems.allow(/status of 4\d\d/);
        await visit(page);
        await page.evaluate(axe.source);
        const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
        assert.deepEqual(violations.map(inWords), []);
        const sideways = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(sideways <= 0, `${sideways} px wider than the window`);
      });
    }
  }
}

function inWords({ id, help, nodes }) {
  return `${id}: ${help}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`;
}
