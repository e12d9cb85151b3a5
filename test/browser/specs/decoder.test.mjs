// The decoder: what it makes of whatever is pasted, that its words are those of the broker, and that a token never leaves the browser.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { CompactEncrypt, createLocalJWKSet, exportJWK, jwtVerify, SignJWT } from 'jose';
import { phone, scenario } from '../lib/browser.mjs';
import { way } from '../lib/pages.mjs';
import { suite } from '../lib/suite.mjs';
import { mint, Parts, refusal } from '../lib/tokens.mjs';

const s = suite();
const at = Math.floor(Date.now() / 1000);

async function open(page, fragment = '') {
  await page.goto(`${s.broker.issuer}/tools/jwt${fragment}`);
  await page.locator('#decoder').waitFor();
}

const paste = (page, text) => page.locator('#token').fill(text);

/** Waits for a verdict; a string must be the whole of it. */
async function says(page, title) {
  await page.waitForFunction(([source, exact]) => {
    const text = document.querySelector('#verdict strong').textContent;
    return exact ? text === source : new RegExp(source).test(text);
  }, [title.source ?? title, typeof title === 'string'], { timeout: 5000 })
    .catch(async () => assert.fail(`the verdict is "${await page.locator('#verdict').innerText()}", want ${title}`));
}

const findings = (page) => page.locator('#findings strong').allTextContents();

/** The rest of a claim's row. */
const row = (page, name) => page.locator(`#claims tr[data-claim="${name}"]`);

scenario('a token of this broker is decoded, explained and verified, and leaves nothing behind', s, {}, async ({ page, context }) => {
  const requests = [];
  context.on('request', (request) => requests.push(`${request.method()} ${request.url()} ${request.postData() ?? ''}`));
  const { access_token: token } = await mint(s.broker, 'alice', { scope: 'openid roles' });
  await open(page);
  await paste(page, token);
  await says(page, 'Valid: signed by this broker');
  const { claims } = new Parts(token);
  assert.match(await row(page, 'sub').innerText(), new RegExp(claims.sub));
  assert.match(await row(page, 'iss').innerText(), /This broker/);
  assert.match(await row(page, 'exp').innerText(), /in 1[45] minutes[^]*Z[^]*Still good/);
  assert.deepEqual(await row(page, 'roles').locator('.badge').allTextContents(), ['editor']);
  assert.deepEqual(await row(page, 'scope').locator('.badge').allTextContents(), claims.scope.split(' '));
  for (const name of Object.keys(claims)) assert.doesNotMatch(await row(page, name).innerText(), /Not a registered claim/, name);
  assert.deepEqual(JSON.parse(await page.locator('#payload').textContent()), claims);
  assert.deepEqual(await findings(page), ['Nothing stands out']);
  assert.equal(await page.locator('#check-verdict').textContent(), 'The API takes it.');

  for (const request of requests) {
    assert.equal(new URL(request.split(' ')[1]).origin, new URL(s.broker.issuer).origin);
    assert.ok(!request.includes(token) && !request.includes(token.split('.')[1]), `a request carries the token: ${request}`);
    assert.match(request, /^GET /);
  }
  const kept = await page.evaluate(async () => [localStorage.length, sessionStorage.length, document.cookie, (await caches.keys()).length, (await indexedDB.databases()).length]);
  assert.deepEqual(kept, [0, 0, '', 0, 0]);
});

scenario('a changed token does not pass, by whatever was changed', s, {}, async ({ page }) => {
  const { access_token: token } = await mint(s.broker, 'bob');
  const parts = new Parts(token);
  await open(page);
  for (const [changed, want] of [
    [parts.with({ claims: { roles: ['admin'] } }), 'The signature does not match'],
    [parts.with({ header: { alg: 'ES256', extra: 1 } }), 'The signature does not match'],
    [parts.with({ signature: `${'A'.repeat(85)}A` }), 'The signature does not match'],
    [parts.with({ header: { kid: 'nobody' } }), 'No key of this broker fits'],
    [parts.with({ header: { alg: 'none' }, signature: '' }), 'Not signed: worth nothing'],
    [parts.with({ header: { alg: 'HS256' } }), 'No key of this broker fits'],
    [token, 'Valid: signed by this broker'],
  ]) {
    await paste(page, changed);
    await says(page, want);
  }
  await paste(page, parts.with({ claims: { roles: ['admin'] } }));
  await says(page, 'The signature does not match');
  await page.locator('#ask').click();
  await page.locator('#ask-answer', { hasText: 'invalid_token: the signature was not made by the key' }).waitFor();
});

scenario('"Check as an API" has the words of the broker', s, {}, async ({ page }) => {
  const { access_token: token } = await mint(s.broker, 'alice');
  const parts = new Parts(token);
  const far = { exp: at + 4000 };
  const text = JSON.stringify(parts.claims);
  const tokens = {
    'forged': parts.with({ claims: { roles: ['admin'] } }),
    'another last character': token.slice(0, -1) + (token.endsWith('A') ? 'B' : token.at(-1) === 'Q' ? 'R' : String.fromCharCode(token.at(-1).charCodeAt(0) + 1)),
    'signature cut': token.slice(0, -3),
    'no signature': parts.with({ signature: '' }),
    'a kid of nobody': parts.with({ header: { kid: 'nobody "x" \\ é' } }),
    'no kid': parts.with({ header: { kid: undefined } }),
    'kid a number': parts.with({ header: { kid: 5 } }),
    'alg none': parts.with({ header: { alg: 'none' } }),
    'alg HS256': parts.with({ header: { alg: 'HS256' } }),
    'no alg': parts.with({ header: { alg: undefined } }),
    'alg EdDSA': parts.with({ header: { alg: 'EdDSA' } }),
    'typ JWT': parts.with({ header: { typ: 'JWT' } }),
    'no typ': parts.with({ header: { typ: undefined } }),
    'long typ': parts.with({ header: { typ: 'application/AT+JWT' }, claims: far }),
    'crit': parts.with({ header: { crit: ['x'] } }),
    'zip': parts.with({ header: { zip: 'DEF' } }),
    'Alg': parts.with({ header: { Alg: 'none' } }),
    'header twice': parts.with({ header: '{"alg":"ES256","alg":"none"}' }),
    'header no JSON': parts.with({ header: '[1]' }),
    'issuer with a slash': parts.with({ claims: { iss: `${s.broker.issuer}/` } }),
    'no issuer': parts.with({ claims: { iss: undefined } }),
    'issuer a number': parts.with({ claims: { iss: 1 } }),
    'another audience': parts.with({ claims: { aud: 'https://other.example/' } }),
    'two audiences': parts.with({ claims: { aud: ['a', 'b'] } }),
    'audience among others': parts.with({ claims: { aud: ['a', s.broker.issuer] } }),
    'no audience': parts.with({ claims: { aud: undefined } }),
    'empty audience': parts.with({ claims: { aud: [] } }),
    'audience an object': parts.with({ claims: { aud: {} } }),
    'no subject': parts.with({ claims: { sub: undefined } }),
    'subject not ASCII': parts.with({ claims: { sub: 'jö' } }),
    'exp in milliseconds': parts.with({ claims: { exp: at * 1000 } }),
    'exp a string': parts.with({ claims: { exp: '1' } }),
    'exp with an exponent': parts.with({ claims: text.replace(/"exp":\d+/, '"exp":1e9') }),
    'exp negative': parts.with({ claims: { exp: -1 } }),
    'exp with a fraction': parts.with({ claims: { exp: at + 0.5 - 3600 } }),
    'no exp': parts.with({ claims: { exp: undefined } }),
    'expired': parts.with({ claims: { exp: at - 100 } }),
    'not yet': parts.with({ claims: { nbf: at + 1000 } }),
    'issued tomorrow': parts.with({ claims: { iat: at + 86400 } }),
    'a claim twice': parts.with({ claims: text.replace('{', '{"sub":"admin",') }),
    'a claim twice, inside': parts.with({ claims: { x: { a: 1 } } }).replace(/^([^.]*)\..*?\./, (_, h) => `${h}.${Buffer.from(text.replace('{', '{"x":{"a":1,"a":2},')).toString('base64url')}.`),
    'Exp': parts.with({ claims: { Exp: 1 } }),
    'cnf': parts.with({ claims: { cnf: { jkt: 'x' } } }),
    'roles a string': parts.with({ claims: { roles: 'admin' } }),
    'an empty role': parts.with({ claims: { roles: [''] } }),
    'scope an array': parts.with({ claims: { scope: ['a'] } }),
    'scope with a quote': parts.with({ claims: { scope: 'a "b"' } }),
    'ver negative': parts.with({ claims: { ver: -1 } }),
    'email null': parts.with({ claims: { email: null } }),
    'trailing data': parts.with({ claims: `${text}x` }),
    'a comma too many': parts.with({ claims: '{"a":1,}' }),
    'a word': parts.with({ claims: '{"a":nope}' }),
    'a number': parts.with({ claims: '{"a":1.}' }),
    'leading zero': parts.with({ claims: '{"a":01}' }),
    'a control character': parts.with({ claims: '{"a":"\u0001"}' }),
    'a bad escape': parts.with({ claims: '{"a":"\\x"}' }),
    'half a pair': parts.with({ claims: '{"a":"\\ud800\\u0041"}' }),
    'the other half': parts.with({ claims: '{"a":"\\udc00"}' }),
    'a pair': parts.with({ claims: `{"a":"\\ud83d\\ude00",${text.slice(1)}` }),
    'not UTF-8': parts.with({ claims: Buffer.from([0x7b, 0x22, 0x61, 0xff, 0x22, 0x3a, 0x31, 0x7d]) }),
    'deep': parts.with({ claims: `{"a":${'['.repeat(16)}${']'.repeat(16)}}` }),
    'as deep as may be': parts.with({ claims: `{"a":${'['.repeat(15)}${']'.repeat(15)},${text.slice(1)}` }),
    'wide': parts.with({ claims: `{${Array.from({ length: 300 }, (_, i) => `"k${i}":1`).join()}}` }),
    'cut in the payload': `${parts.head}.${parts.body.slice(0, 100)}.${parts.signature}`,
    'cut in a group': `${parts.head}.${parts.body.slice(0, 101)}.${parts.signature}`,
    'two parts': `${parts.head}.${parts.body}`,
    'four parts': `${token}.x`,
    'five parts': `${token}.x.y`,
    'another alphabet': `${parts.head}.${parts.body.slice(0, 20)}+${parts.body.slice(21)}.${parts.signature}`,
    'long': parts.with({ claims: { x: 'y'.repeat(20_000) } }),
    'long signature': `${token}${'A'.repeat(1400)}`,
    'good': token,
  };
  await open(page);
  await page.locator('#api-audience').fill(s.broker.issuer); // by hand, so that no token suggests another
  const untimed = (words) => words.replace(/it is \S+Z/, 'it is now');
  const differ = [];
  for (const [name, bad] of Object.entries(tokens)) {
    await paste(page, bad);
    await page.waitForFunction((text) => document.querySelector('#token').value === text, bad);
    const want = name === 'good' ? 'The API takes it.' : untimed(await refusal(s.broker, bad));
    const settled = await page.waitForFunction((words) => {
      const now = document.querySelector('#check-verdict').textContent.replace(/it is \S+Z/, 'it is now');
      return now === words;
    }, want, { timeout: 2500 }).catch(() => null);
    if (!settled) differ.push(`${name}: the page says "${await page.locator('#check-verdict').textContent()}", the broker "${want}"`);
  }
  assert.deepEqual(differ, []);
});

scenario('"Check as an API" names scopes and roles as the guards do, and shows it as code', s, {}, async ({ page }) => {
  const { access_token: token } = await mint(s.broker, 'bob', { scope: 'openid' });
  await open(page);
  await paste(page, token);
  await page.locator('#api-scopes').fill('orders:read openid');
  await page.locator('#check-verdict', { hasText: '403 insufficient_scope: the token has the scopes openid, all of orders:read, openid are expected' }).waitFor();
  await page.locator('#api-scopes').fill('');
  await page.locator('#api-roles').fill('editor, admin');
  await page.locator('#check-verdict', { hasText: '403 insufficient_scope: the caller has the roles viewer, one of editor, admin is expected' }).waitFor();
  for (const [language, pattern] of [['go', /verify\.Discover[^]*verify\.RequireRoles\("editor", "admin"\)/], ['js', /createRemoteJWKSet[^]*\["editor", "admin"\]/], ['python', /PyJWKClient[^]*\{"editor", "admin"\}/]]) {
    await page.locator('#language').selectOption(language);
    await page.waitForFunction((source) => new RegExp(source).test(document.querySelector('#snippet').textContent), pattern.source);
    assert.ok((await page.locator('#snippet').textContent()).includes(s.broker.issuer));
  }
  await page.locator('#api-roles').fill('viewer');
  await page.locator('#check-verdict', { hasText: 'The API takes it.' }).waitFor();
});

// A certificate for CN=issuer.example and a token by its key; the private key is gone.
const certificate = `-----BEGIN CERTIFICATE-----
MIIBiTCCAS+gAwIBAgIUeW4lW0I5/g2LNIcAuPZm3bG9vbEwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOaXNzdWVyLmV4YW1wbGUwIBcNMjYxMTI0MDczMzIyWhgPMjEy
NjEwMzEwNzMzMjJaMBkxFzAVBgNVBAMMDmlzc3Vlci5leGFtcGxlMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEERnNF4KBM7Yi9gCBRTseJw46jbiMAVVMl3pUccgZ
dk7sbsEFkHVhU2Vds1dGZWHTJLyHazMb7Nkfmv0JdiHZDKNTMFEwHQYDVR0OBBYE
FIv96N6Sl2DmvZtjZdwfFPVm6psnMB8GA1UdIwQYMBaAFIv96N6Sl2DmvZtjZdwf
FPVm6psnMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhANl3GOii
1hwiM4xBlo7yJ2h3Wk8hTF6UwsQ1fWZvu46GAiAsFYKnc0XRegiLwa9L1AdAZUFu
jUMPvdbeqlQhjfzJPw==
-----END CERTIFICATE-----`;
const certified = 'eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzY29wZSI6ImEiLCJpc3MiOiJ1cm46eCIsInN1YiI6ImpvIiwiYXVkIjoiYXBpIiwiZXhwIjo0MTAyNDQ0ODAwfQ.'
  + 's6UMixWl8x4DBQqhi1HnKYKys6lzkd-wRl5R39l5fqiCpsPefnKCVv6UoIonvGXCJEvdfLv7pC7gqVGctdBiZQ';

const foreign = (claims = {}) => new SignJWT({ iss: 'https://issuer.example', sub: 'jo', aud: 'api', iat: at, exp: at + 600, jti: '1', ...claims });
const kinds = [
  ['ES256', 'ec', { namedCurve: 'P-256' }], ['ES384', 'ec', { namedCurve: 'P-384' }], ['RS256', 'rsa', { modulusLength: 2048 }],
  ['PS256', 'rsa', { modulusLength: 2048 }], ['EdDSA', 'ed25519', {}],
];

scenario('a token of somebody else is verified with the key one gives: JWKS, JWK, PEM, certificate, secret', s, {}, async ({ page }) => {
  await open(page);
  for (const [alg, kind, options] of kinds) {
    const { publicKey, privateKey } = generateKeyPairSync(kind, options);
    const { publicKey: other } = generateKeyPairSync(kind, options);
    const jwk = { ...await exportJWK(publicKey), kid: 'k1' };
    await page.locator('#keys').fill('');
    await paste(page, await foreign().setProtectedHeader({ alg, kid: 'k1', typ: 'at+jwt' }).sign(privateKey));
    await says(page, 'Decoded, not verified');
    const forms = [JSON.stringify({ keys: [jwk] }), JSON.stringify(jwk), publicKey.export({ type: 'spki', format: 'pem' })];
    if (kind === 'rsa') forms.push(publicKey.export({ type: 'pkcs1', format: 'pem' }));
    for (const form of forms) {
      await page.locator('#keys').fill(other.export({ type: 'spki', format: 'pem' }));
      await says(page, 'The signature does not match');
      await page.locator('#keys').fill(form);
      await says(page, 'Valid: the signature matches');
    }
    await page.locator('#keys').fill(JSON.stringify({ keys: [{ ...jwk, kid: 'k2' }] }));
    await says(page, 'Decoded, not verified');
    await page.locator('#keys').fill(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await page.locator('#verdict', { hasText: 'That is a private key' }).waitFor();
  }
  await paste(page, certified);
  await page.locator('#keys').fill(certificate);
  await says(page, 'Valid: the signature matches');

  const secret = Buffer.from('a secret of thirty-two characters');
  await paste(page, await foreign().setProtectedHeader({ alg: 'HS256' }).sign(secret));
  for (const [encoding, text] of [['text', secret.toString()], ['base64', secret.toString('base64')], ['base64url', secret.toString('base64url')], ['hex', secret.toString('hex')]]) {
    await page.locator('#keys').fill(text);
    await page.locator('#encoding').selectOption(encoding);
    await says(page, 'Valid: the signature matches');
    await page.locator('#keys').fill('00'.repeat(32));
    await says(page, 'The signature does not match');
  }
  // RFC 8725, section 2.1: a public key is no shared secret, whatever the token says.
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = publicKey.export({ type: 'spki', format: 'pem' });
  await paste(page, await foreign().setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(pem)));
  await page.locator('#keys').fill(pem);
  await says(page, 'Decoded, not verified');
});

scenario('what is no JWT is named', s, {}, async ({ page }) => {
  const { access_token: token, refresh_token: refresh } = await mint(s.broker, 'alice');
  const parts = new Parts(token);
  const made = await fetch(`${s.broker.issuer}/api-keys`, {
    method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body: '{"name":"decoder"}',
  });
  const { key } = await made.json();
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const encrypted = await new CompactEncrypt(Buffer.from('hidden')).setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM' }).encrypt(publicKey);
  await open(page);
  for (const [text, title, more] of [
    [encrypted, 'An encrypted token (JWE, 5 parts)', /RSA-OAEP-256[^]*A256GCM/],
    [refresh, 'A refresh token of this broker, not a JWT', /introspection/],
    [key, 'An API key of this broker, not a JWT', /introspection/],
    ['v4.public.eyJkYXRhIjoidGVzdCJ9abc', 'A PASETO (v4.public), not a JWT', /another format/],
    ['0123456789abcdef', 'An opaque text, not a JWT', /introspection/],
    [token.slice(0, parts.head.length + 1 + 80), 'Damaged or cut off', new RegExp(`after character ${parts.head.length + 81} of the token[^]*missing`)],
    [token.slice(0, parts.head.length + 1 + 81), 'Damaged or cut off', new RegExp(`after character ${parts.head.length + 82} of the token, in the middle of a base64url group`)],
    [`${parts.head}.${parts.body}`, 'Damaged or cut off', /the signature is missing/],
    [`${parts.head}.${parts.body.slice(0, 9)}+${parts.body.slice(10)}.${parts.signature}`, 'Damaged or cut off', new RegExp(`Character ${parts.head.length + 11} of the token, in the payload, is "\\+"`)],
    ['{"keys":[]}', 'A key set, not a token', /under Verify/],
    [JSON.stringify(parts.claims), 'JSON without a token', /decoded already/],
    ['', 'Nothing to decode yet', /Paste/],
  ]) {
    await paste(page, text);
    await page.locator('#verdict', { hasText: more }).waitFor({ timeout: 5000 }).catch(() => {});
    await says(page, title);
    assert.match(await page.locator('#verdict').innerText(), more);
  }
});

scenario('a token is found in what people copy', s, {}, async ({ page }) => {
  const { access_token: token, refresh_token: refresh } = await mint(s.broker, 'alice', { scope: 'openid' });
  const parts = new Parts(token);
  await open(page);
  for (const text of [
    `Bearer ${token}`, `Authorization: Bearer ${token}`, `"${token}"`, `'${token}',`, token.replaceAll(/(.{64})/g, '$1\n'), `  ${token}\n`,
    `curl ${s.broker.issuer}/me -H "Authorization: Bearer ${token}"`, `${s.broker.dev.demo_url}/#token_type=Bearer&access_token=${token}&state=x`,
    `https://app.example/cb?id_token=${token}`, `access_token=${token}`, JSON.stringify({ access_token: token, token_type: 'Bearer' }), JSON.stringify({ a: [{ b: token }] }),
  ]) {
    await paste(page, '');
    await says(page, 'Nothing to decode yet');
    await paste(page, text);
    await says(page, 'Valid: signed by this broker');
  }

  const idToken = parts.with({ header: { typ: 'JWT' }, claims: { client_id: undefined, scope: undefined, nonce: 'n', aud: 'demo-spa' } });
  await paste(page, JSON.stringify({ access_token: token, refresh_token: refresh, id_token: idToken, expires_in: 900 }));
  await page.locator('#choices').waitFor();
  await says(page, 'Valid: signed by this broker');
  assert.deepEqual(await page.locator('#choices code').allTextContents(), ['access_token', 'refresh_token', 'id_token']);
  await page.locator('#choices input').nth(1).check();
  await says(page, /^A refresh token of this broker/);
  await page.locator('#choices input').nth(2).check();
  await says(page, 'The signature does not match');
  await page.locator('#findings', { hasText: 'An ID token' }).waitFor();
});

scenario('a token in the fragment is taken and wiped from the address', s, {}, async ({ page }) => {
  const { access_token: token } = await mint(s.broker, 'alice');
  await open(page, `#token=${token}`);
  await says(page, 'Valid: signed by this broker');
  assert.equal(page.url(), `${s.broker.issuer}/tools/jwt`);
  await page.locator('#token-clear').click();
  await page.evaluate((hash) => { location.hash = hash; }, `token=${encodeURIComponent(`Bearer ${token}`)}`);
  await says(page, 'Valid: signed by this broker');
  assert.equal(page.url(), `${s.broker.issuer}/tools/jwt`);
  await page.reload();
  await says(page, 'Nothing to decode yet');
  assert.equal(await page.locator('#token').inputValue(), '');
});

scenario('what stands out is found', s, {}, async ({ page }) => {
  const { access_token: token } = await mint(s.broker, 'alice');
  const parts = new Parts(token);
  const other = new Parts(await foreign().setProtectedHeader({ alg: 'RS256', kid: 'k', typ: 'at+jwt' }).sign(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey));
  await open(page);
  for (const [text, want] of [
    [parts.with({ header: { alg: 'none' } }), 'Not signed at all'],
    [parts.with({ header: { alg: 'HS256' } }), 'HS256 under this broker\'s name'],
    [parts.with({ header: { alg: 'PS256' } }), 'PS256 under this broker\'s name'],
    [parts.with({ header: { kid: 'nobody' } }), 'Unknown key'],
    [parts.with({ header: { jku: 'https://evil.example' } }), 'The token brings its own key (jku)'],
    [parts.with({ claims: { iss: `${s.broker.issuer}/` } }), 'Almost this broker\'s issuer'],
    [parts.with({ claims: { iss: s.broker.issuer.replace('http:', 'https:') } }), 'Almost this broker\'s issuer'],
    [parts.with({ claims: { iss: s.broker.issuer.toUpperCase() } }), 'Almost this broker\'s issuer'],
    [parts.with({ claims: { aud: undefined } }), 'No audience'],
    [parts.with({ claims: { aud: [s.broker.issuer] } }), 'aud is an array of one'],
    [parts.with({ claims: { aud: ['a', 'b'] } }), '2 audiences'],
    [parts.with({ claims: { exp: at - 7200 } }), 'Expired'],
    [parts.with({ claims: { nbf: at + 7200 } }), 'Not good yet'],
    [parts.with({ claims: { iat: at + 7200 } }), 'Issued in the future'],
    [parts.with({ claims: { exp: at * 1000 } }), 'exp is in milliseconds'],
    [parts.with({ claims: { exp: parts.claims.iat + 30 * 86400 } }), 'Good for 30 days'],
    [parts.with({ claims: { exp: undefined } }), 'Never expires'],
    [parts.with({ header: { typ: 'JWT' } }), 'typ is JWT'],
    [parts.with({ claims: { sub: undefined } }), 'No subject'],
    [parts.with({ claims: { x: 'y'.repeat(5000) } }), /^Large: \d+ bytes$/],
    [`Bearer ${other.with({ header: { typ: 'JWT' }, claims: { nonce: 'n', jti: undefined } })}`, 'An ID token, used as an access token'],
    [other.with({ header: { alg: 'HS256' } }), 'HS256: a shared secret'],
  ]) {
    await paste(page, text);
    const found = page.locator('#findings strong', { hasText: want }).first();
    await found.waitFor({ timeout: 3000 }).catch(async () => assert.fail(`want "${want}" among ${JSON.stringify(await findings(page))}`));
  }
  const keys = page.waitForRequest((request) => request.url().endsWith('/jwks'));
  await paste(page, parts.with({ header: { kid: 'nobody' } }));
  await page.locator('#findings button').click();
  await keys;
  await says(page, 'No key of this broker fits');
});

scenario('a claim is text, whatever it says', s, {}, async ({ page }) => {
  const evil = '"><img src=x onerror="document.title=\'ran\'"><script>document.title="ran"</script>';
  const token = await foreign({ [evil]: evil, roles: [evil], scope: evil, realm_access: { roles: [evil] }, iss: evil, aud: [evil, evil] })
    .setProtectedHeader({ alg: 'HS256', kid: evil, typ: evil, [evil]: evil }).sign(Buffer.alloc(32));
  await open(page);
  await paste(page, token);
  await page.locator('#claims', { hasText: 'onerror' }).waitFor();
  await says(page, /^Decoded/);
  assert.equal(await page.locator('img, #decoder script').count(), 0);
  assert.match(await page.title(), /^JWT decoder/);
});

scenario('with the keyboard alone', s, {}, async ({ page }) => {
  const { access_token: token } = await mint(s.broker, 'alice');
  // The keys arrive after the box was read once more, as on a slow machine.
  const held = [];
  await page.route('**/jwks', (route) => { held.push(route); });
  await page.clock.install();
  await open(page);
  await page.clock.pauseAt(Date.now() + 60_000);
  await page.locator('#token').focus();
  await page.keyboard.insertText(token);
  await page.keyboard.press('Control+Enter');
  await page.locator('#verdict', { hasText: 'Checking the signature' }).waitFor();
  await page.clock.runFor(500);
  for (const route of held) {
    await route.continue();
    await (await route.request().response()).finished();
    await page.clock.runFor(100);
  }
  await page.locator('#verdict', { hasText: 'Valid: signed by this broker' }).waitFor();
  await page.clock.resume();
  await page.locator('#live', { hasText: 'Valid: signed by this broker' }).waitFor({ state: 'attached' });
  assert.equal(await page.locator('#verdict-text').getAttribute('role'), 'status');
  assert.equal(await page.locator('#token').inputValue(), token, 'Ctrl+Enter must not write');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'token-example');
  await page.keyboard.press('Shift+Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'token');
});

scenario('the broker knows what was revoked', s, {}, async ({ page }) => {
  const { access_token: token } = await mint(s.broker, 'alice');
  await open(page);
  await paste(page, token);
  await says(page, 'Valid: signed by this broker');
  await page.locator('#ask').click();
  await page.locator('#ask-answer', { hasText: 'The broker takes it' }).waitFor();
  await fetch(`${s.broker.issuer}/logout`, { method: 'POST', headers: { Authorization: `Bearer ${token}` } });
  await page.locator('#ask').click();
  await page.locator('#ask-answer', { hasText: 'invalid_token' }).waitFor();
  await says(page, 'Signed, and refused by this broker');
  await page.locator('#check-verdict', { hasText: '401 invalid_token: the token was revoked' }).waitFor();
  const { access_token: other } = await mint(s.broker, 'alice');
  await paste(page, other);
  await says(page, 'Valid: signed by this broker');
  await page.locator('#check-verdict', { hasText: 'The API takes it' }).waitFor();
});

scenario('what was pasted a moment ago is what is verified and said', s, {}, async ({ page }) => {
  const { access_token: token } = await mint(s.broker, 'alice');
  await open(page);
  await page.evaluate((text) => {
    document.getElementById('token').value = text;
    document.getElementById('token').dispatchEvent(new Event('input'));
    document.getElementById('verify').click();
  }, token);
  await page.locator('#live', { hasText: 'Valid: signed by this broker' }).waitFor({ state: 'attached' });
});

scenario('nothing is called good beside a signature that does not match', s, {}, async ({ page }) => {
  const parts = new Parts((await mint(s.broker, 'alice')).access_token);
  await open(page);
  await paste(page, parts.with({ claims: { roles: ['admin'] } }));
  await says(page, 'The signature does not match');
  assert.deepEqual(await findings(page), ['The signature does not match']);
});

scenario('where the browser may not verify, the page says so and the broker can', s, {}, async ({ page }) => {
  await page.addInitScript(() => {
    Object.defineProperty(window, 'isSecureContext', { value: false });
    Object.defineProperty(crypto, 'subtle', { value: undefined });
  });
  const { access_token: token } = await mint(s.broker, 'alice');
  await open(page);
  await paste(page, token);
  await says(page, 'Decoded, not verified');
  assert.match(await page.locator('#verdict').innerText(), /https and on localhost only/);
  assert.equal(await page.locator('#check-verdict').textContent(), 'Everything but the signature passes.');
  await page.getByRole('button', { name: 'Verify on server' }).click();
  await page.locator('#ask-answer', { hasText: 'The broker takes it' }).waitFor();
});

scenario('an example, and back to nothing', s, {}, async ({ page }) => {
  await open(page);
  await page.locator('#token-example').click();
  await says(page, 'Valid: signed by this broker');
  assert.equal(await page.locator('#check-verdict').textContent(), 'The API takes it.');
  const opened = await refusal(s.broker, await page.locator('#token').inputValue());
  assert.match(opened, /^401 invalid_token: the audience is 'example-api'/, 'the example opens something');
  await page.locator('#ask').click();
  await page.locator('#ask-answer', { hasText: 'no access token for an audience of this issuer' }).waitFor();
  await page.locator('#token-clear').click();
  await says(page, 'Nothing to decode yet');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'token');
});

scenario('an example where the broker gives none is made in the browser, with its key', s, {}, async ({ page }) => {
  await page.route('**/tools/jwt', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replace(/data-sample="[^"]*"/, 'data-sample=""') });
  });
  await open(page);
  await page.locator('#token-example').click();
  await says(page, 'Valid: the signature matches');
  assert.match(await page.locator('#keys').inputValue(), /made-in-this-browser/);
  await page.locator('#api-issuer').fill('urn:example:issuer');
  await page.locator('#api-audience').fill('urn:example:orders');
  await page.locator('#check-verdict', { hasText: 'The API takes it.' }).waitFor();
});

scenario('on a phone the verdict stands above the token', s, { viewport: phone }, async ({ page }) => {
  const { access_token: token } = await mint(s.broker, 'alice');
  await open(page);
  await paste(page, token);
  await says(page, 'Valid: signed by this broker');
  const top = async (id) => (await page.locator(id).boundingBox()).y;
  const order = [await top('#verdict'), await top('#token'), await top('#findings'), await top('#claims'), await top('#verify'), await top('#checks')];
  assert.deepEqual(order, order.toSorted((a, b) => a - b));
});

scenario('the copy buttons copy', s, { permissions: ['clipboard-read', 'clipboard-write'] }, async ({ page }) => {
  const { access_token: token } = await mint(s.broker, 'alice');
  await open(page);
  await paste(page, token);
  await says(page, 'Valid: signed by this broker');
  for (const id of ['header', 'payload', 'snippet']) {
    await page.locator(`#${id}-copy`).click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await page.locator(`#${id}`).textContent());
  }
});

/** Opens the panel that mints. */
async function openMint(page) {
  await page.locator('#mint > summary').click();
  await page.waitForFunction(() => document.querySelector('#mint-claims').value !== '');
}

/** Presses a button and returns the token that comes of it. */
async function press(page, button) {
  const before = await page.locator('#minted').textContent();
  await page.locator(button).click();
  await page.waitForFunction((old) => document.querySelector('#minted').textContent !== old, before);
  return page.locator('#minted').textContent();
}

const edit = async (page, id, by) => page.locator(id).fill(JSON.stringify({ ...JSON.parse(await page.locator(id).inputValue()), ...by }));

scenario('a token is minted by a key of the browser, with each algorithm, and a library takes it', s, {}, async ({ page, context }) => {
  const requests = [];
  await page.addInitScript(() => {
    const generate = crypto.subtle.generateKey.bind(crypto.subtle);
    window.extractable = [];
    crypto.subtle.generateKey = (how, extractable, uses) => {
      window.extractable.push(extractable);
      return generate(how, extractable, uses);
    };
  });
  await open(page);
  await page.locator('#empty').waitFor();
  context.on('request', (request) => requests.push(request.url()));
  await openMint(page);
  assert.deepEqual(await page.locator('#mint-alg option').allTextContents(), ['ES256', 'RS256', 'EdDSA', 'HS256']);
  const kids = new Set();
  for (const alg of ['ES256', 'RS256', 'EdDSA']) {
    await page.locator('#mint-alg').selectOption(alg);
    const token = await press(page, '#mint-sign');
    const jwks = JSON.parse(await page.locator('#mint-jwks').textContent());
    assert.ok(jwks.keys.every((key) => !('d' in key)), 'a private key leaves the browser');
    const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(jwks), { algorithms: [alg], audience: 'urn:example:orders', typ: 'at+jwt' });
    assert.equal(protectedHeader.alg, alg);
    assert.ok(Math.abs(payload.exp - 900 - Date.now() / 1000) < 60, `it expires at ${payload.exp}`);
    kids.add(protectedHeader.kid);
    assert.match(await page.locator('#mint-answer').textContent(), new RegExp(`^Signed with ${alg}, good for 1[45] minutes`));
    await page.locator('#mint-decode').click();
    await says(page, 'Valid: the signature matches');
    assert.equal(await page.locator('#token').inputValue(), token);
    assert.equal(await page.locator('#keys').inputValue(), JSON.stringify(jwks, null, 2));
    assert.equal(await page.evaluate(() => document.activeElement.id), 'token');
  }
  assert.equal(kids.size, 3);
  assert.deepEqual([...new Set(await page.evaluate(() => window.extractable))], [false], 'a private key can be taken out of the browser');

  await page.locator('#mint-alg').selectOption('HS256');
  assert.equal((await page.locator('#mint-secret').inputValue()).length, 32);
  await page.locator('#mint-secret').fill('a secret of thirty-two characters');
  const token = await press(page, '#mint-sign');
  await jwtVerify(token, Buffer.from('a secret of thirty-two characters'), { algorithms: ['HS256'] });
  assert.equal(JSON.parse(await page.locator('#mint-header').inputValue()).kid, undefined);
  assert.ok(!(await page.locator('#mint-keys').isVisible()), 'a secret is offered as a public key');
  await page.locator('#mint-decode').click();
  await says(page, 'Valid: the signature matches');
  await page.locator('#mint-secret').fill('');
  await page.locator('#mint-sign').click();
  await page.locator('#mint-secret-problem', { hasText: 'Give a secret' }).waitFor();
  assert.ok(!(await page.locator('#mint-output').isVisible()), 'the last token is offered still');
  assert.deepEqual(requests, [], 'minting asks somebody');
  const kept = await page.evaluate(async () => [localStorage.length, sessionStorage.length, document.cookie, (await indexedDB.databases()).length]);
  assert.deepEqual(kept, [0, 0, '', 0]);
});

scenario('no minted token opens anything here, in the name of this broker either', s, {}, async ({ page }) => {
  const { access_token: token } = await mint(s.broker, 'alice');
  const { header, claims } = new Parts(token);
  await open(page);
  await paste(page, token);
  await says(page, 'Valid: signed by this broker');
  await openMint(page);
  assert.match(await refusal(s.broker, await press(page, '#mint-sign')), /^401 invalid_token: the issuer has no key 'throw-away-/);
  assert.match(JSON.parse(await page.locator('#mint-header').inputValue()).kid, /^throw-away-/);
  assert.deepEqual(new Parts(await page.locator('#minted').textContent()).claims.roles, claims.roles);
  for (const alg of ['ES256', 'RS256', 'EdDSA', 'HS256']) {
    await page.locator('#mint-alg').selectOption(alg);
    await edit(page, '#mint-header', { kid: header.kid });
    assert.match(await refusal(s.broker, await press(page, '#mint-sign')), /^401 invalid_token: /, alg);
    await page.locator('#mint-decode').click();
    await says(page, /^(The signature does not match|No key of this broker fits)$/);
  }
  // RFC 8725, section 2.1: what everybody can read is no secret.
  const [key] = (await (await fetch(`${s.broker.issuer}/jwks`)).json()).keys;
  await page.locator('#mint-secret').fill(JSON.stringify(key));
  assert.match(await refusal(s.broker, await press(page, '#mint-sign')), /^401 invalid_token: the algorithm is 'HS256'/);
});

scenario('one thing wrong at a time, and each is refused for it', s, {}, async ({ page }) => {
  const { access_token: token } = await mint(s.broker, 'alice');
  await open(page);
  await paste(page, token);
  await says(page, 'Valid: signed by this broker');
  await openMint(page);
  const good = await page.locator('#mint-claims').inputValue();
  for (const [name, words, refused, found] of [
    ['Expired', 'it expired an hour ago', /the token expired at/, 'Expired'],
    ['Not good yet', 'it is good only in an hour', /the token is not good before/, 'Not good yet'],
    ['Wrong audience', 'it is for another audience', /the audience is 'urn:example:another-api'/, ''],
    ['No subject', 'it has no subject', /the subject has 0 bytes/, 'No subject'],
    ['alg none', 'alg is none, and there is no signature', /the algorithm is 'none'/, 'Not signed at all'],
  ]) {
    const bad = await press(page, `[data-fault]:text-is("${name}")`);
    assert.match(await refusal(s.broker, bad), new RegExp(`^401 invalid_token: ${refused.source}`), name);
    assert.equal(await page.locator('#mint-answer').textContent(), `One thing is wrong with it: ${words}. An API must answer 401.`);
    await page.locator('#mint-decode').click();
    await page.waitForFunction((text) => document.querySelector('#token').value === text && document.querySelector('#header').textContent, bad);
    if (found) await page.locator('#findings strong', { hasText: found }).waitFor();
    assert.equal(await page.locator('#mint-claims').inputValue(), good, `${name} stays in the claims`);
  }
  // This broker refuses a foreign key first, so an API with the public key has to find the change.
  await page.locator('#mint-sample').click();
  await press(page, '#mint-sign');
  const jwks = createLocalJWKSet(JSON.parse(await page.locator('#mint-jwks').textContent()));
  const changed = await press(page, '[data-fault=changed]');
  await assert.rejects(jwtVerify(changed, jwks), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' });
  await page.locator('#mint-decode').click();
  await says(page, 'The signature does not match');
  await jwtVerify(await press(page, '#mint-sign'), jwks);
});

scenario('what is minted is what is written, and what cannot be is said where it stands', s, { permissions: ['clipboard-read', 'clipboard-write'] }, async ({ page }) => {
  await open(page);
  await openMint(page);
  await edit(page, '#mint-header', { typ: 'JWT', extra: [1] });
  await edit(page, '#mint-claims', { sub: 'jö', exp: undefined, nested: { a: true } });
  const token = await press(page, '#mint-sign');
  const { header, claims } = new Parts(token);
  assert.deepEqual([header.typ, header.extra, claims.sub, claims.exp, claims.nested], ['JWT', [1], 'jö', undefined, { a: true }]);
  assert.equal(await page.locator('#mint-answer').textContent(), 'Signed with ES256, with no time at which it expires.');
  await page.locator('#minted-copy').click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), token);
  await page.locator('#mint-keys summary').click();
  await page.locator('#mint-jwks-copy').click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await page.locator('#mint-jwks').textContent());

  for (const [text, words] of [['{\n  "sub": "a"\n  "aud": "b"\n}', 'Line 3: a comma or closing brace is missing at byte 17.'], ['[]', 'It cannot be signed: it is not a JSON object.'], ['', 'It cannot be signed: it is not a JSON object.']]) {
    await page.locator('#mint-claims').fill(text);
    await page.locator('#mint-sign').click();
    await page.locator('#mint-claims-problem', { hasText: words }).waitFor();
    assert.equal(await page.locator('#mint-claims').getAttribute('aria-invalid'), 'true');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'mint-claims');
    assert.match(await page.locator('#mint-answer').textContent(), /^Nothing was minted\./);
    assert.ok(!(await page.locator('#mint-output').isVisible()));
  }
  await page.locator('#mint-sample').click();
  await page.locator('#mint-sign').click();
  await page.locator('#mint-output').waitFor();
  assert.equal(await page.locator('#mint-claims').getAttribute('aria-invalid'), null);
});

scenario('minting by the keyboard alone', s, {}, async ({ page }) => {
  await open(page);
  await page.locator('#mint > summary').focus();
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('#mint-claims').value !== '');
  const order = [];
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press('Tab');
    order.push(await page.evaluate(() => document.activeElement.id || document.activeElement.dataset.fault));
  }
  assert.deepEqual(order, ['mint-header', 'mint-claims', 'mint-take', 'mint-sample', 'mint-alg', 'mint-sign', 'expired', 'early', 'audience', 'subject', 'none', 'changed']);
  await page.locator('#mint-sign').focus();
  await page.keyboard.press('Enter');
  await page.locator('#mint-decode').waitFor();
  assert.equal(await page.locator('#mint-answer').getAttribute('role'), 'status');
  await page.locator('#mint-decode').focus();
  await page.keyboard.press('Enter');
  await page.locator('#live', { hasText: 'Valid: the signature matches' }).waitFor({ state: 'attached' });
});

scenario('everything that mints can be hit with a thumb', s, { viewport: phone }, async ({ page }) => {
  await open(page);
  await openMint(page);
  await page.locator('#mint-alg').selectOption('HS256');
  await press(page, '#mint-sign');
  await page.locator('#mint-alg').selectOption('ES256');
  await press(page, '#mint-sign');
  await page.locator('#mint-keys summary').click();
  for (const target of await page.locator('#mint').locator('button:visible, select:visible, input:visible, summary:visible').all()) {
    const { width, height } = await target.boundingBox();
    assert.ok(width >= 44 && height >= 44, `${await target.innerText()}: ${width} × ${height}`);
  }
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), 'the page scrolls sideways');
});

scenario('where the browser may not sign, the panel says so', s, {}, async ({ page }) => {
  await page.addInitScript(() => {
    Object.defineProperty(window, 'isSecureContext', { value: false });
    Object.defineProperty(crypto, 'subtle', { value: undefined });
  });
  await open(page);
  await openMint(page);
  await page.locator('#mint-answer', { hasText: 'https and on localhost only' }).waitFor();
  await page.locator('#mint-sign').click();
  await page.locator('#mint-answer[data-level=error]', { hasText: 'https and on localhost only' }).waitFor();
  assert.match(await press(page, '[data-fault=none]'), /\.$/);
});

/** The draft that the way to the playground carries. */
const carried = async (page) => JSON.parse(Buffer.from(new URL(await page.locator('#playground-link').getAttribute('href')).hash.slice('#draft='.length), 'base64url'));

scenario('a token opens the playground with its claims as the principal, and stays behind itself', s, {}, async ({ page, context }) => {
  const requests = [];
  context.on('request', (request) => requests.push(`${request.url()} ${request.postData() ?? ''}`));
  const { access_token: token } = await mint(s.broker, 'alice', { scope: 'openid roles' });
  const { claims, body, signature } = new Parts(token);
  await page.goto(`${s.broker.issuer}/login`);
  await way.password(page, s.broker.user('alice'));
  await page.waitForURL(/dashboard/);
  await open(page);
  assert.ok(!(await page.locator('#playground-link').isVisible()), 'it leads there without a token');
  await paste(page, token);
  await says(page, 'Valid: signed by this broker');
  const opens = context.waitForEvent('page');
  await page.getByRole('link', { name: 'Open in playground' }).click();
  const playground = await opens;
  await playground.locator('#verdict strong', { hasText: 'ALLOW' }).waitFor();
  assert.equal(await playground.locator('#principal').inputValue(), `User::"${claims.sub}"`);
  const [them, ...others] = JSON.parse(await playground.locator('#entities').inputValue());
  assert.deepEqual([them.uid.id, them.parents, them.attrs.scope, them.attrs.client_id], [claims.sub, [{ type: 'Role', id: 'editor' }], claims.scope.split(' '), claims.client_id]);
  assert.ok(!('jti' in them.attrs) && !('exp' in them.attrs) && others.length >= 4);
  // The schema knows what the claims are, so that a policy may ask for them.
  for (const [scope, word] of [['openid', 'ALLOW'], ['orders:write', 'DENY']]) {
    await playground.locator('#policies').fill(`permit (principal, action, resource) when { principal has scope && principal.scope.contains("${scope}") };`);
    await playground.locator('#verdict strong', { hasText: word }).waitFor();
  }
  assert.ok(requests.every((line) => !line.includes(body) && !line.includes(signature)), 'a request carries the token');
  for (const one of [page, playground]) {
    const kept = await one.evaluate(() => [location.href, JSON.stringify(localStorage), JSON.stringify(sessionStorage), window.name, document.referrer].join(' '));
    assert.ok(!kept.includes(body) && !kept.includes(signature), `it is kept: ${kept}`);
  }
  assert.equal(await page.locator('#token').inputValue(), token, 'the decoder forgets the token');
});

scenario('what of the claims comes along to the playground', s, {}, async ({ page }) => {
  const key = Buffer.alloc(32);
  const put = async (claims) => {
    const token = await foreign(claims).setProtectedHeader({ alg: 'HS256' }).sign(key);
    await paste(page, token);
    await page.waitForFunction((text) => document.querySelector('#token').value === text, token);
    await page.locator('#payload', { hasText: JSON.stringify(claims.mark) }).waitFor({ state: 'attached' });
  };
  await open(page);
  await put({
    mark: 'one', sub: 'a "b" \\ é', realm_access: { roles: ['viewer', '', 7] }, tenant: 'acme', level: 3, ratio: 0.5, mfa: true, nothing: null, groups: ['x', 'y'], mixed: ['a', 1],
    in: 'a word of Cedar', 'https://example.com/plan': 'gold', 'odd name': 'x', long: 'x'.repeat(300),
  });
  const draft = await carried(page);
  assert.equal(draft.principal, 'User::"a \\"b\\" \\\\ é"');
  const [them] = JSON.parse(draft.entities);
  assert.deepEqual(them.parents, [{ type: 'Role', id: 'viewer' }]);
  assert.deepEqual(them.attrs, {
    iss: 'https://issuer.example', aud: 'api', mark: 'one', tenant: 'acme', level: 3, mfa: true, groups: ['x', 'y'], in: 'a word of Cedar', 'https://example.com/plan': 'gold',
  });
  await page.locator('#playground-link').waitFor();
  const link = await page.locator('#playground-link').getAttribute('href');

  // A token within a token is a token too.
  await put({ mark: 'two', act_token: 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln' });
  await page.locator('#playground-hint', { hasText: 'something like a token' }).waitFor();
  assert.ok(!(await page.locator('#playground-link').isVisible()));
  assert.ok(!(await page.locator('#playground-link').getAttribute('href')).includes('#'), 'the last claims stay in the address');
  await put({ mark: 'three', sub: undefined });
  await page.locator('#playground-hint', { hasText: 'needs a subject' }).waitFor();
  assert.ok(!(await page.locator('#playground-link').isVisible()));

  await page.goto(`${s.broker.issuer}/login`);
  await way.password(page, s.broker.user('alice'));
  await page.waitForURL(/dashboard/);
  await page.goto(link);
  await page.locator('#verdict strong', { hasText: /ALLOW|DENY|NOT VALID/ }).waitFor();
  assert.match(await page.locator('#verdict').innerText(), /DENY[^]*User::"a \\"b\\"/, 'the draft is not valid');
  await page.locator('#policies').fill('permit (principal, action, resource) when { principal has "https://example.com/plan" && principal["https://example.com/plan"] == "gold" && principal has "in" && principal["in"] like "a*" && principal has level && principal.level > 2 && principal has mfa && principal.mfa };');
  await page.locator('#verdict strong', { hasText: 'ALLOW' }).waitFor();
});

scenario('without JavaScript the page says why it is empty, and explains claims', s, { javaScriptEnabled: false }, async ({ page }) => {
  await page.goto(`${s.broker.issuer}/tools/jwt`);
  assert.match(await page.locator('noscript').innerText(), /The decoder needs JavaScript/);
  assert.ok(!(await page.locator('#token').isVisible()));
  assert.ok(!(await page.locator('#mint').isVisible()));
  await page.locator('#known summary').click();
  assert.match(await page.locator('#known').innerText(), /The token's own id/);
});

