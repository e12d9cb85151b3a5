// The guard before an API that trusts the broker's access tokens: who calls, with which roles and scopes. Copy this file into your
// own API; it needs the package jose.

import { createRemoteJWKSet, jwtVerify } from 'jose';

/** A request that does not get in; `answer` turns it into a response. */
export class Refused extends Error {
  constructor(status, code, detail, more = {}) {
    super(detail);
    Object.assign(this, { status, code, more });
  }
}

/** What jose throws for a token that is not good; anything else means that the keys cannot be had. */
const badToken = /^ERR_(JWT|JWS)_|^ERR_JOSE_(ALG_NOT_ALLOWED|NOT_SUPPORTED)|^ERR_JWKS_(NO|MULTIPLE)_MATCHING/;

/** Accepts the access tokens of one issuer for one audience. The function it returns resolves to the caller, or throws Refused. */
export function guard({ issuer, audience, jwksURL = `${issuer.replace(/\/$/, '')}/jwks` }) {
  const url = new URL(jwksURL);
  // Whoever can change the answer can sign tokens.
  if (url.protocol !== 'https:' && !['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)) throw new Error(`${url} is not https`);
  // Fetched when first needed, again after five minutes, and for an unknown key at most every ten seconds.
  const keys = createRemoteJWKSet(url, { cacheMaxAge: 300_000, cooldownDuration: 10_000 });
  const rules = {
    issuer,
    audience,
    typ: 'at+jwt', // an ID token is signed by the same issuer (RFC 9068 section 4)
    algorithms: ['ES256', 'RS256', 'EdDSA'],
    requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
    clockTolerance: 30, // seconds
  };
  return async (request) => {
    const [, token] = /^bearer +([^\s,]+) *$/i.exec(request.headers.authorization ?? '') ?? [];
    if (!token) throw new Refused(401, 'missing_token', 'the request has no bearer token');
    try {
      const { payload } = await jwtVerify(token, keys, rules);
      return {
        kind: payload.sub === payload.client_id ? 'client' : 'user',
        id: payload.sub,
        client_id: payload.client_id,
        roles: payload.roles ?? [],
        scopes: (payload.scope ?? '').split(' ').filter(Boolean),
      };
    } catch (error) {
      if (badToken.test(error.code)) throw new Refused(401, 'invalid_token', `the token is not valid: ${error.message}`);
      // Never 401: a client that is told its token is bad throws it away.
      throw new Refused(503, 'temporarily_unavailable', 'the keys of the issuer cannot be had at the moment');
    }
  };
}

/** Throws Refused unless the caller has any of the roles. */
export function requireRoles(caller, ...anyOf) {
  if (anyOf.some((role) => caller.roles.includes(role))) return;
  throw new Refused(403, 'insufficient_scope', `one of the roles ${anyOf.join(', ')} is expected`, { required_roles: anyOf });
}

/** Throws Refused unless the caller's token has all of the scopes. */
export function requireScopes(caller, ...allOf) {
  if (allOf.every((scope) => caller.scopes.includes(scope))) return;
  throw new Refused(403, 'insufficient_scope', `all of the scopes ${allOf.join(', ')} are expected`, { required_scope: allOf.join(' ') });
}

/** Writes status, challenge (RFC 6750 section 3) and problem body (RFC 9457). */
export function answer(response, refused, realm) {
  const { status, code, message, more } = refused;
  const headers = { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store' };
  if (status === 503) {
    headers['Retry-After'] = '5';
  } else if (status === 401 || status === 403) {
    headers['WWW-Authenticate'] = `Bearer realm="${quotable(realm)}"`
      + (code === 'missing_token' ? '' : `, error="${code}", error_description="${quotable(message)}"`)
      + (more.required_scope ? `, scope="${more.required_scope}"` : '');
  }
  response.writeHead(status, headers).end(JSON.stringify({ type: 'about:blank', status, code, detail: message, ...more }));
}

/** Keeps to the characters that a quoted description may hold (RFC 6749 section 5.2). */
const quotable = (text) => text.replaceAll('"', "'").replace(/[^ -~]|\\/g, '?');
