// The suite itself: a stranger's client and a stranger's provider agree without the broker between them, and the browser
// reports what it is trusted to report. Where these fail, nothing that the other specs say means much.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import * as client from 'openid-client';
import { launch, scenario } from '../lib/browser.mjs';
import { startUpstream } from '../lib/oidc-upstream.mjs';
import { answerUpstream } from '../lib/pages.mjs';
import { serve } from '../lib/ports.mjs';

let chromium, upstream, site;
const suite = { browser: () => chromium, ours: () => [`http://127.0.0.1:${site.port}`] };

const bad = {
  '/inline': '<script>document.title = "ran"</script>',
  '/network': '<img src="http://outside.example/pixel.png" alt="">',
};

before(async () => {
  site = await serve(createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    response.setHeader('Content-Type', 'text/html');
    if (pathname !== '/bare') response.setHeader('Content-Security-Policy', "default-src 'none'");
    response.statusCode = pathname === '/broken' ? 500 : 200;
    response.end(`<!doctype html><html lang="en"><title>${pathname}</title>${bad[pathname] ?? 'fine'}`);
  }));
  upstream = await startUpstream({
    redirectURI: `http://127.0.0.1:${site.port}/callback`,
    accounts: { jo: { email: 'jo@acme.example', email_verified: true, name: 'Jo' } },
  });
  chromium = await launch();
});

after(async () => {
  await chromium?.close();
  await upstream?.stop();
  await site?.stop();
});

scenario('openid-client and oidc-provider complete code and PKCE', suite, {}, async ({ page }) => {
  const config = await client.discovery(new URL(upstream.issuer), upstream.clientID, undefined,
    client.ClientSecretBasic(upstream.clientSecret), { execute: [client.allowInsecureRequests] });
  const verifier = client.randomPKCECodeVerifier();
  const expected = { pkceCodeVerifier: verifier, expectedState: client.randomState(), expectedNonce: client.randomNonce() };
  await page.goto(client.buildAuthorizationUrl(config, {
    redirect_uri: `http://127.0.0.1:${site.port}/callback`,
    scope: 'openid email profile',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: expected.expectedState,
    nonce: expected.expectedNonce,
  }).href);
  await answerUpstream(page, 'jo');
  await page.waitForURL(/\/callback\?/);
  const tokens = await client.authorizationCodeGrant(config, new URL(page.url()), expected);
  const person = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
  assert.deepEqual(person, { sub: 'jo', email: 'jo@acme.example', email_verified: true, name: 'Jo' });
});

for (const [path, report] of [
  ['/inline', /^content policy: script-src/],
  ['/network', /^content policy: img-src/],
  ['/bare', /^no content policy/],
  ['/broken', /^server error: 500/],
]) {
  scenario(`the browser reports ${path}`, suite, {}, async ({ page, problems }) => {
    await page.goto(`http://127.0.0.1:${site.port}${path}`);
    await page.evaluate(() => new Promise(requestAnimationFrame));
    assert.ok(problems.rest.some((text) => report.test(text)), `reported only ${JSON.stringify(problems.rest)}`);
    problems.allow(/./);
  });
}

test('the network is out of reach', async () => {
  const context = await chromium.newContext();
  try {
    const page = await context.newPage();
    await assert.rejects(page.goto('http://outside.example/'), /ERR_NAME_NOT_RESOLVED/);
  } finally {
    await context.close();
  }
});
