// openid-client, a client that nobody here wrote, as an app behind a page of the broker.

import * as client from 'openid-client';

/** Discovers the broker for one of its clients; without a secret the client is public. */
export function discover(broker, clientID, secret) {
  const authentication = secret ? client.ClientSecretBasic(secret) : client.None();
  return client.discovery(new URL(broker.issuer), clientID, undefined, authentication,
    { execute: [client.allowInsecureRequests] }); // dev speaks plain http on loopback
}

/**
 * Prepares a code and PKCE request: where to send the browser, and what the answer must match. Other parameters may be
 * added or replaced.
 */
export async function authorizationRequest(broker, clientID, parameters = {}) {
  const config = await discover(broker, clientID);
  const verifier = client.randomPKCECodeVerifier();
  const expected = { pkceCodeVerifier: verifier, expectedState: client.randomState(), expectedNonce: client.randomNonce() };
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: parameters.redirect_uri ?? broker.client(clientID).redirect_uris[0],
    scope: 'openid profile email',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: expected.expectedState,
    nonce: expected.expectedNonce,
    ...parameters,
  });
  return { config, expected, url, redirectURI: url.searchParams.get('redirect_uri') };
}

/**
 * Waits until the browser is sent back with the code and redeems it, checking whatever openid-client checks. An app that
 * is at home there may redeem it first: such a test needs a redirect address of its own, or a browser without JavaScript.
 */
export async function redeem(page, request, parameters) {
  await page.waitForURL((url) => url.href.startsWith(request.redirectURI) && url.searchParams.has('code'));
  return client.authorizationCodeGrant(request.config, new URL(page.url()), request.expected, parameters);
}
