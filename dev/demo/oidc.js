// A small OpenID Connect client for a page: authorization code with PKCE, nothing to install. What it checks is marked with the
// section that asks for it; a library such as openid-client checks the same.

const pendingFor = 10 * 60_000; // ms; the broker gives a sign-in no longer
const clockSkew = 60; // s

/** What went wrong, in a word of the protocol, and the words that came with it. */
export class ProtocolError extends Error {
  constructor(code, description = '') {
    super(description || code);
    this.code = code;
  }
}

export class Client {
  #metadata;

  constructor({ issuer, client_id, scope, resource, redirect_uri }) {
    Object.assign(this, { issuer, client_id, scope, resource, redirect_uri });
  }

  /** Where the endpoints are (OpenID Connect Discovery 1.0, section 4). */
  async metadata() {
    if (!this.#metadata) {
      const found = await json(await fetch(`${this.issuer}/.well-known/openid-configuration`));
      // Section 4.3: otherwise somebody else could answer for the issuer.
      if (found.issuer !== this.issuer) throw new ProtocolError('invalid_issuer', `The broker calls itself ${found.issuer}, not ${this.issuer}.`);
      this.#metadata = found;
    }
    return this.#metadata;
  }

  /** The address that begins a sign-in. What the answer must match is kept in this tab. */
  async authorizationURL(more = {}) {
    const { authorization_endpoint } = await this.metadata();
    const state = random(), nonce = random(), verifier = random();
    forgetOld();
    sessionStorage.setItem(`pending:${state}`, JSON.stringify({ nonce, verifier, at: Date.now() }));
    return address(authorization_endpoint, {
      response_type: 'code',
      client_id: this.client_id,
      redirect_uri: this.redirect_uri,
      scope: this.scope,
      resource: this.resource,
      state,
      nonce,
      code_challenge: await s256(verifier),
      code_challenge_method: 'S256',
      ...more,
    });
  }

  /** Turns the answer in the query of the callback into tokens. */
  async finish(query) {
    const state = query.get('state') ?? '';
    const kept = sessionStorage.getItem(`pending:${state}`);
    sessionStorage.removeItem(`pending:${state}`); // once
    // RFC 6749, section 10.12: an answer that this tab did not ask for may be somebody else's sign-in.
    if (!kept) throw new ProtocolError('unknown_state', 'This tab did not ask for that sign-in, or has finished it already.');
    const { authorization_response_iss_parameter_supported: named } = await this.metadata();
    // RFC 9207, section 2.4: an answer must come from the server that was asked.
    if ((named || query.has('iss')) && query.get('iss') !== this.issuer) {
      throw new ProtocolError('invalid_issuer', `The answer is from ${query.get('iss') ?? 'nobody'}, not from ${this.issuer}.`);
    }
    if (query.has('error')) throw new ProtocolError(query.get('error'), query.get('error_description') ?? '');
    const { nonce, verifier } = JSON.parse(kept);
    const tokens = await this.#token({
      grant_type: 'authorization_code', code: query.get('code'), redirect_uri: this.redirect_uri, code_verifier: verifier, resource: this.resource,
    });
    this.#checkIDToken(claims(tokens.id_token), nonce);
    return tokens;
  }

  /** Fresh tokens. The ID token stays: it says when the person signed in, and that has not changed. */
  async refresh(tokens) {
    const fresh = await this.#token({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token, resource: this.resource });
    return { ...tokens, ...fresh };
  }

  async userinfo(tokens) {
    const { userinfo_endpoint } = await this.metadata();
    const person = await json(await fetch(userinfo_endpoint, { headers: { Authorization: `Bearer ${tokens.access_token}` } }));
    // OpenID Connect Core 1.0, section 5.3.2.
    if (person.sub !== claims(tokens.id_token).sub) throw new ProtocolError('invalid_userinfo', 'The userinfo is about somebody else.');
    return person;
  }

  /** The address that signs out at the broker too (OpenID Connect RP-Initiated Logout 1.0, section 2). */
  async signOutURL(tokens, back) {
    const { end_session_endpoint } = await this.metadata();
    return address(end_session_endpoint, { id_token_hint: tokens.id_token, client_id: this.client_id, ...back });
  }

  async #token(form) {
    const { token_endpoint } = await this.metadata();
    return json(await fetch(token_endpoint, { method: 'POST', body: new URLSearchParams({ client_id: this.client_id, ...form }) }));
  }

  // OpenID Connect Core 1.0, section 3.1.3.7. The signature is not checked: the token came from the issuer itself, by a connection of
  // our own (item 6).
  #checkIDToken(id, nonce) {
    const now = Date.now() / 1000;
    const wrong = id.iss !== this.issuer ? 'iss'
      : ![id.aud].flat().includes(this.client_id) || (id.azp && id.azp !== this.client_id) ? 'aud'
      : !(id.exp > now - clockSkew) ? 'exp'
      : id.nonce !== nonce ? 'nonce' : '';
    if (wrong) throw new ProtocolError('invalid_id_token', `The ID token has the wrong ${wrong}.`);
  }
}

/** The claims of a token, unchecked: to look at, never to decide by. */
export function claims(token) {
  const bytes = Uint8Array.from(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

async function json(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new ProtocolError(body.error ?? `status ${response.status}`, body.error_description);
  return body;
}

function address(endpoint, parameters) {
  const url = new URL(endpoint);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

function random() { return base64url(crypto.getRandomValues(new Uint8Array(32))); }

// RFC 7636, section 4.2.
async function s256(verifier) {
  return base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))));
}

/** Drops what was begun and never finished. */
function forgetOld() {
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith('pending:') && !(JSON.parse(sessionStorage.getItem(key)).at > Date.now() - pendingFor)) sessionStorage.removeItem(key);
  }
}
