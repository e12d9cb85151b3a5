// Tokens for tests: real ones of the broker, and ones that are wrong in a way of their own.

const encode = (value) => Buffer.from(typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value)).toString('base64url');

/** What `broker dev` issues to a person for the password. */
export async function mint(broker, username, parameters = {}) {
  const body = new URLSearchParams({ grant_type: 'password', username, password: broker.user(username).password, ...parameters });
  const response = await fetch(`${broker.issuer}/token`, { method: 'POST', body });
  if (!response.ok) throw new Error(`no token for ${username}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** A token taken apart, to be put together in another way. The signature stays, and is right only where nothing changed. */
export class Parts {
  constructor(token) {
    [this.head, this.body, this.signature] = token.split('.');
  }

  get header() { return JSON.parse(Buffer.from(this.head, 'base64url')); }

  get claims() { return JSON.parse(Buffer.from(this.body, 'base64url')); }

  /** With other members; undefined takes one away. A string replaces the whole text. */
  with({ header, claims, signature = this.signature }) {
    const change = (old, by) => (typeof by === 'string' || Buffer.isBuffer(by) ? by : { ...old, ...by });
    return [header ? encode(change(this.header, header)) : this.head, claims ? encode(change(this.claims, claims)) : this.body, signature].join('.');
  }
}

/** What the broker itself answers to whoever brings a token: the word that the decoder must use too. */
export async function refusal(broker, token) {
  const response = await fetch(`${broker.issuer}/me`, { headers: { Authorization: `Bearer ${token}`, Accept: 'application/json' } });
  const { code, detail } = await response.json();
  return `${response.status} ${code}: ${detail}`;
}
