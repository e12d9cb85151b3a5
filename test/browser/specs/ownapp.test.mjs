// A developer's own app and API, registered in broker.yaml beside the demo's: another origin, another audience.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as client from 'openid-client';
import { scenario } from '../lib/browser.mjs';
import { authorizationRequest, redeem } from '../lib/client.mjs';
import { appWithAPI } from '../lib/config.mjs';
import { callAPI, openSignIn, signedIn, way } from '../lib/pages.mjs';
import { freePort, serve } from '../lib/ports.mjs';
import { suite } from '../lib/suite.mjs';

const audience = 'https://orders.example';
let app;
let port;

const s = suite({
  prepare: async () => {
    port = await freePort();
    app = await serve(createServer((_, response) => {
      response.setHeader('Content-Type', 'text/html');
      response.end('<!doctype html><html lang="en"><title>My own app</title><h1>My own app</h1>');
    }), 'localhost', port);
    return {
      config: appWithAPI({
        client: 'web', redirectURI: `http://localhost:${port}/callback`, postLogoutURI: `http://localhost:${port}/`,
        api: 'orders', audience,
      }),
    };
  },
});
after(() => app?.stop());

const request = (parameters) => authorizationRequest(s.broker, 'web',
  { redirect_uri: `http://localhost:${port}/callback`, resource: audience, ...parameters });

scenario('an app of one\'s own signs in and gets a token for its own API', s, {}, async ({ page }) => {
  const asked = await request();
  await page.goto(asked.url.href);
  assert.match(await page.locator('body').innerText(), /My own app/, 'the sign-in page names the app');
  await way.github(page);
  const tokens = await redeem(page, asked, { resource: audience });

  const keys = createRemoteJWKSet(new URL(asked.config.serverMetadata().jwks_uri));
  const { payload } = await jwtVerify(tokens.access_token, keys, { issuer: s.broker.issuer, audience, typ: 'at+jwt' });
  assert.equal(payload.sub, tokens.claims().sub);
  await assert.rejects(jwtVerify(tokens.access_token, keys, { issuer: s.broker.issuer, audience: s.broker.issuer }),
    /unexpected "aud"/);

  const out = client.buildEndSessionUrl(asked.config, {
    id_token_hint: tokens.id_token, post_logout_redirect_uri: `http://localhost:${port}/`, state: 'as it was',
  });
  await page.goto(out.href);
  await page.waitForURL(`http://localhost:${port}/?state=as+it+was`);
  await page.goto((await request()).url.href);
  await page.locator('#signin-form').waitFor();
});

scenario('the demo app lives on beside it', s, {}, async ({ page }) => {
  await openSignIn(page, s.broker);
  await way.password(page, s.broker.user('alice'));
  await signedIn(page, s.broker);
  await callAPI(page);
});

scenario('an address that is not registered gets nothing', s, {}, async ({ page, problems }) => {
  problems.allow(/status of 400/);
  const asked = await request({ redirect_uri: `http://localhost:${port}/elsewhere` });
  await page.goto(asked.url.href);
  await page.locator('#error-code').waitFor();
  assert.equal(new URL(page.url()).origin, new URL(s.broker.issuer).origin);
});
