// Clients and verifiers that nobody here wrote: openid-client runs the protocol, jose checks the tokens by the JWKS.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import * as client from 'openid-client';
import { scenario } from '../lib/browser.mjs';
import { authorizationRequest, discover, redeem } from '../lib/client.mjs';
import { way } from '../lib/pages.mjs';
import { suite } from '../lib/suite.mjs';

const s = suite();
const noApp = { javaScriptEnabled: false }; // the demo app would redeem the code itself

async function signIn(page, parameters) {
  const request = await authorizationRequest(s.broker, 'demo-spa', parameters);
  await page.goto(request.url.href);
  await way.password(page, s.broker.user('alice'));
  return { request, tokens: await redeem(page, request) };
}

scenario('code and PKCE, userinfo, refresh, revocation', s, noApp, async ({ page }) => {
  const { request: { config }, tokens } = await signIn(page);
  const person = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
  assert.equal(person.email, s.broker.user('alice').email);

  const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
  assert.notEqual(renewed.access_token, tokens.access_token);
  assert.notEqual(renewed.refresh_token, tokens.refresh_token);
  await client.fetchUserInfo(config, renewed.access_token, person.sub);

  await client.tokenRevocation(config, renewed.refresh_token);
  await assert.rejects(client.refreshTokenGrant(config, renewed.refresh_token), { error: 'invalid_grant' });
});

scenario('jose verifies both tokens by the JWKS', s, noApp, async ({ page }) => {
  const { request: { config, expected }, tokens } = await signIn(page);
  const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri));

  const access = await jwtVerify(tokens.access_token, keys, { issuer: s.broker.issuer, audience: s.broker.issuer, typ: 'at+jwt' });
  assert.equal(access.protectedHeader.alg, 'ES256');
  assert.deepEqual(access.payload.roles, s.broker.user('alice').roles);

  const id = await jwtVerify(tokens.id_token, keys, { issuer: s.broker.issuer, audience: 'demo-spa' });
  assert.equal(id.payload.nonce, expected.expectedNonce);
  assert.equal(id.payload.sub, access.payload.sub);
  await assert.rejects(jwtVerify(tokens.id_token, keys, { issuer: s.broker.issuer, audience: s.broker.issuer }));
});

scenario('an answer by form_post is accepted as one by query is', s, noApp, async ({ page, problems }) => {
  problems.allow(/status of 4\d\d/); // the demo app awaits its answers by query
  const request = await authorizationRequest(s.broker, 'demo-spa', { response_mode: 'form_post' });
  await page.goto(request.url.href);
  await way.password(page, s.broker.user('alice'));
  const posted = page.waitForRequest((sent) => sent.method() === 'POST' && sent.url() === request.redirectURI);
  await page.locator('#handoff-submit').click();
  const sent = await posted;
  const answer = new Request(sent.url(), {
    method: 'POST', body: sent.postData(), headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
  });
  const tokens = await client.authorizationCodeGrant(request.config, answer, request.expected);
  assert.ok(tokens.claims().sub);
});

test('client_credentials and introspection', async () => {
  const { client_id: id, client_secret: secret } = s.broker.client('demo-service');
  const config = await discover(s.broker, id, secret);
  const tokens = await client.clientCredentialsGrant(config);
  assert.equal(decodeProtectedHeader(tokens.access_token).typ, 'at+jwt');
  const found = await client.tokenIntrospection(config, tokens.access_token);
  assert.equal(found.active, true);
  assert.equal(found.client_id, id);
  const unknown = await client.tokenIntrospection(config, 'nothing of ours');
  assert.deepEqual(unknown, { active: false });
});

test('the password grant of a first-party client', async () => {
  const alice = s.broker.user('alice');
  const config = await discover(s.broker, 'demo-cli');
  const tokens = await client.genericGrantRequest(config, 'password', { username: alice.username, password: alice.password });
  assert.ok(tokens.refresh_token);
  await assert.rejects(client.genericGrantRequest(config, 'password', { username: alice.username, password: 'wrong' }),
    { error: 'invalid_grant' });
});
