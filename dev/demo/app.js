// The page: what a person sees and presses. The protocol is in oidc.js.

import { claims, Client, ProtocolError } from './oidc.js';

const $ = (id) => document.getElementById(id);
const settings = await (await fetch('/config.json')).json();
const client = new Client({ ...settings, redirect_uri: `${location.origin}/callback` });

// Tokens are kept in sessionStorage: they survive a reload, belong to this tab alone and end with it. Any script of this origin can
// read them, which is why the page lets no other script in (see its Content-Security-Policy). An app with a server of its own does
// better to keep them there and give the browser a cookie.
const session = {
  get() { return JSON.parse(sessionStorage.getItem('session')); },
  set(value) { sessionStorage.setItem('session', JSON.stringify(value)); },
  end() { sessionStorage.removeItem('session'); },
};

// What the broker may answer instead of a code, for people.
const words = {
  access_denied: 'You cancelled the sign-in. Nothing was shared with this app.',
  unknown_state: 'This tab did not ask for that sign-in, or has finished it already. Please sign in again.',
  invalid_grant: 'Your sign-in at the broker is over. Please sign in again.',
  login_required: 'You are not signed in at the broker.',
  interaction_required: 'The broker needs to ask you something first. Please sign in again.',
  temporarily_unavailable: 'The broker is busy at the moment. Please try again in a minute.',
  server_error: 'Something went wrong at the broker. Please try again.',
};

const inWords = (error) => words[error.code]
  ?? (error instanceof ProtocolError ? `The broker refused: ${error.message} (${error.code})` : `The broker cannot be reached. Is it running? (${error.message})`);

function say(text, bad = false) {
  $('status').textContent = text;
  $('status').classList.toggle('bad', bad);
}

/** Runs a task behind a button, which stays pressed meanwhile; what goes wrong is told. */
function press(id, task) {
  $(id).addEventListener('click', async () => {
    setBusy(id, true);
    say('');
    try {
      await task();
    } catch (error) {
      say(inWords(error), true);
      setBusy(id, false);
    }
  });
}

function setBusy(id, busy) {
  $(id).disabled = busy;
  $(id).toggleAttribute('aria-busy', busy);
}

/** Leaves the page; the button is released when the person comes back. */
async function leave(id, to) {
  location.assign(await to);
}

for (const [id, more] of [['signin', {}], ['signin-github', { idp_hint: 'github' }], ['signin-google', { idp_hint: 'google' }]]) {
  press(id, () => leave(id, client.authorizationURL(more)));
}

press('signout', async () => {
  const state = crypto.randomUUID();
  const to = await client.signOutURL(session.get().tokens, { post_logout_redirect_uri: `${location.origin}/`, state });
  session.end();
  sessionStorage.setItem('signing-out', state);
  say('Signing out…');
  location.assign(to);
});

press('refresh', async () => {
  await renew();
  say('Here are fresh tokens.');
  setBusy('refresh', false);
});

async function renew() {
  try {
    const tokens = await client.refresh(session.get().tokens);
    session.set({ tokens, person: await client.userinfo(tokens) });
  } catch (error) {
    if (error.code === 'invalid_grant') session.end(); // signed out elsewhere, or too long ago
    throw error;
  } finally {
    show();
  }
}

/** Asks the broker whether it still knows the person whom this tab remembers. */
async function look() {
  const { tokens } = session.get();
  try {
    session.set({ tokens, person: await client.userinfo(tokens) });
    show();
  } catch (error) {
    if (error.code === 'invalid_token') await renew(); // the token may only be old
    else throw error;
  }
}

press('call-api', async () => {
  await callAPI('GET', '/api/hello');
  setBusy('call-api', false);
});

press('add-note', async () => {
  await callAPI('POST', '/api/notes', { text: 'Bring the milk in.' });
  setBusy('add-note', false);
});

async function callAPI(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: { Authorization: `Bearer ${session.get().tokens.access_token}`, ...(body && { 'Content-Type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  const meaning = { 401: 'the token is not good (any more): refresh', 403: 'the token is good, and you may not' }[response.status];
  $('api-answer').hidden = false;
  $('api-answer').textContent = `${method} ${path} answered ${response.status}${meaning ? `: ${meaning}` : ''}`;
  $('api-answer').classList.toggle('bad', !response.ok);
  $('api-result').textContent = pretty(answer);
}

/** Shows what is known at this moment. */
function show() {
  const known = session.get();
  $('signed-out').hidden = known !== null;
  $('signed-in').hidden = known === null;
  for (const id of ['signin', 'signin-github', 'signin-google', 'signout']) setBusy(id, false);
  if (known) showPerson(known);
  else for (const id of ['user-name', 'user-email', 'user-roles', 'claims-id', 'claims-access', 'userinfo', 'api-result', 'api-answer', 'expires']) $(id).textContent = '';
}

function showPerson({ tokens, person }) {
  const id = claims(tokens.id_token), access = claims(tokens.access_token);
  const name = person.name || person.preferred_username || person.email || person.sub;
  $('user-name').textContent = name;
  $('initial').textContent = [...name][0].toUpperCase();
  $('user-email').textContent = person.email ?? 'no address';
  const roles = access.roles ?? [];
  $('user-roles').replaceChildren(...roles.flatMap((role) => [badge(role), ' ']));
  if (roles.length === 0) $('user-roles').textContent = 'no roles';
  $('claims-id').textContent = pretty(id);
  $('claims-access').textContent = pretty(access);
  $('userinfo').textContent = pretty(person);
  $('expires').textContent = `Good until ${new Date(access.exp * 1000).toLocaleTimeString()}; then refresh.`;
}

/** JSON for reading: one member a line, a list on one line. */
function pretty(value, indent = '') {
  if (Array.isArray(value)) return `[${value.map((item) => pretty(item, indent)).join(', ')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const members = Object.entries(value).map(([name, item]) => `${indent}  ${JSON.stringify(name)}: ${pretty(item, `${indent}  `)}`);
  return members.length > 0 ? `{\n${members.join(',\n')}\n${indent}}` : '{}';
}

function badge(text) {
  const span = document.createElement('span');
  span.className = 'badge';
  span.textContent = text;
  return span;
}

/** What the address brings: an answer to a sign-in, the way back from a sign-out, or nothing. */
async function arrive() {
  const query = new URLSearchParams(location.search), path = location.pathname;
  if (location.search || path !== '/') history.replaceState(null, '', '/'); // a code is nothing to reload or to bookmark
  if (path === '/callback') {
    try {
      const tokens = await client.finish(query);
      session.set({ tokens, person: await client.userinfo(tokens) });
    } catch (error) {
      const already = error.code === 'unknown_state' && session.get() !== null;
      say(already ? 'You are signed in already.' : inWords(error), !already && error.code !== 'access_denied');
    }
    return;
  }
  const leaving = sessionStorage.getItem('signing-out');
  sessionStorage.removeItem('signing-out');
  if (leaving && query.get('state') === leaving) say('You are signed out, here and at the broker.');
}

for (const id of ['github', 'google']) $(`signin-${id}`).hidden = !settings.providers.includes(id);
$('origin').textContent = location.host;
$('audience').textContent = settings.resource;
$('issuer').href = `${settings.issuer}/dashboard`;
addEventListener('pageshow', ({ persisted }) => { if (persisted) show(); }); // back from another page, as it was left

const remembered = session.get() !== null;
await arrive();
show();
if (remembered) await look().catch((error) => say(inWords(error), true));
