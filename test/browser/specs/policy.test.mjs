// The policy playground: a decision picked from lists, with and without JavaScript, and policies that are typed.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import axe from 'axe-core';
import { desktop, phone, scenario } from '../lib/browser.mjs';
import { way } from '../lib/pages.mjs';
import { suite } from '../lib/suite.mjs';

const s = suite();
const exported = new URL('../../../guide/testdata/exported/', import.meta.url);

async function open(page, { username = 'alice', query = '' } = {}) {
  await page.goto(`${s.broker.issuer}/login`);
  await way.password(page, s.broker.user(username));
  await page.waitForURL(/dashboard/);
  await page.goto(`${s.broker.issuer}/tools/policy${query}`);
}

/** Waits until the engine has answered with a verdict. */
async function says(page, word) {
  await page.waitForFunction((want) => document.querySelector('#verdict strong').textContent === want && document.querySelector('#result').ariaBusy === 'false', word, { timeout: 5000 })
    .catch(async () => assert.fail(`the verdict is "${await page.locator('#verdict').innerText()}", want ${word}`));
}

const stateOf = (page, id) => page.locator(`#statements [data-id="${id}"]`).getAttribute('data-state');

scenario('it opens on the first preset, evaluated', s, {}, async ({ page }) => {
  await open(page);
  await says(page, 'ALLOW');
  assert.equal(await page.locator('#preset').inputValue(), 'rbac');
  assert.match(await page.locator('#verdict').innerText(), /User::"alice" may Action::"write" on Document::"handbook"[^]*Allowed by editors-write/);
  assert.equal(await stateOf(page, 'editors-write'), 'decides');
  assert.equal(await page.locator('.gutter[data-for=policies] [data-mark=decides]').count(), 7);
});

scenario('somebody picks a user and an action', s, {}, async ({ page }) => {
  await open(page);
  await says(page, 'ALLOW');
  const answer = page.locator('#answer');
  for (const [user, action, article, word, why] of [
    ['alice', 'delete', 'own-published', 'DENY', /Roles allow[^]*Policies deny[^]*article-delete-author/],
    ['alice', 'delete', 'own-draft', 'ALLOW', /Allowed by article-delete-author/],
    ['bob', 'edit', 'own-draft', 'DENY', /Roles deny[^]*admin, editor[^]*Policies allow/],
    ['root', 'delete', 'foreign-published', 'ALLOW', /article-delete-admin/],
    ['you', 'edit', 'foreign-draft', 'DENY', /You \(editor\) may not edit/],
  ]) {
    await page.locator('#user').selectOption(user);
    await page.locator('#action').selectOption(action);
    await page.locator('#article').selectOption(article);
    await page.waitForFunction(([want, source]) => document.querySelector('#answer-word').textContent === want && new RegExp(source).test(document.querySelector('#answer').innerText), [word, why.source])
      .catch(async () => assert.fail(`${user} ${action} ${article}: ${await answer.innerText()}`));
  }
});

scenario('without JavaScript the question is a form', s, { javaScriptEnabled: false }, async ({ page }) => {
  await open(page);
  assert.match(await page.locator('noscript').innerText(), /needs JavaScript/);
  assert.ok(!(await page.locator('#playground').isVisible()));
  await page.locator('#user').selectOption('bob');
  await page.locator('#action').selectOption('delete');
  await page.locator('#ask').click();
  await page.waitForURL(/user=bob&action=delete/);
  assert.match(await page.locator('#answer').innerText(), /DENY\s+bob \(viewer\) may not delete/);
  assert.equal(await page.locator('#user').inputValue(), 'bob');
  await page.locator('#user').selectOption('root');
  await page.locator('#ask').click();
  await page.waitForURL(/user=root/);
  assert.match(await page.locator('#answer').innerText(), /ALLOW\s+root \(admin\) may delete/);
});

scenario('every preset is valid and passes its tests', s, {}, async ({ page }) => {
  await open(page);
  await says(page, 'ALLOW');
  const want = { rbac: 'ALLOW', owner: 'DENY', tenants: 'DENY', hours: 'DENY', mfa: 'DENY', 'break-glass': 'DENY' };
  await page.locator('#tab-tests').click();
  for (const [id, word] of Object.entries(want)) {
    await page.locator('#preset').selectOption(id);
    await says(page, word);
    assert.match(await page.locator('#tests-sum').textContent(), /^All \d pass\.$/, id);
  }
});

scenario('typing evaluates; what is wrong has a place, and the last good result stays', s, {}, async ({ page }) => {
  await open(page);
  await says(page, 'ALLOW');
  const policies = page.locator('#policies'), text = await policies.inputValue();
  await policies.fill(text.replace('principal in Role::"editor"', 'prinzipal in Role::"editor"'));
  await says(page, 'NOT VALID');
  assert.equal(await page.locator('#policies-problems button').textContent(), '12:3');
  assert.equal(await policies.getAttribute('aria-invalid'), 'true');
  assert.equal(await page.locator('.gutter[data-for=policies] [data-mark=bad]').textContent(), '12');
  assert.equal(await page.locator('#result').getAttribute('data-stale'), 'yes');
  assert.match(await page.locator('#why').textContent(), /Allowed by editors-write/);
  await page.locator('#policies-problems button').click();
  assert.equal(await policies.evaluate((box) => [document.activeElement === box, box.value.slice(box.selectionStart, box.selectionStart + 9)].join()), 'true,prinzipal');

  await policies.fill(text);
  await says(page, 'ALLOW');
  assert.equal(await policies.getAttribute('aria-invalid'), null);
  await page.locator('#entities').fill('[\n{"uid": }]');
  await says(page, 'NOT VALID');
  assert.equal(await page.locator('#entities-problems button').textContent(), '2:9');
  await page.locator('#principal').fill('alice');
  await page.locator('#principal-problems', { hasText: 'Type::"id"' }).waitFor();
  await page.locator('#reset').click();
  await says(page, 'ALLOW');
  assert.equal(await policies.inputValue(), text);
});

scenario('a forbid that cannot be evaluated is no open door', s, {}, async ({ page }) => {
  await open(page);
  await says(page, 'ALLOW');
  await page.locator('#preset').selectOption('mfa');
  await says(page, 'DENY');
  assert.equal(await stateOf(page, 'second-factor'), 'decides');
  assert.equal(await stateOf(page, 'editors-transfer'), 'outvoted');
  assert.equal(await page.locator('.gutter[data-for=policies] [data-mark=refuses]').count(), 4);
  await page.locator('#context').fill('{}');
  await page.locator('#statements [data-state=skipped]').waitFor();
  await says(page, 'DENY');
  assert.match(await page.locator('#statements [data-id=second-factor]').innerText(), /Could not be evaluated[^]*mfa/);
  await page.locator('#context').fill('{"mfa": true}');
  await says(page, 'ALLOW');
});

scenario('a matrix of roles and actions', s, {}, async ({ page }) => {
  await open(page);
  await says(page, 'ALLOW');
  await page.locator('#tab-matrix').click();
  await page.locator('#matrix tbody tr').first().waitFor();
  assert.deepEqual(await page.locator('#matrix thead th[scope=col]').allTextContents(), ['Who', 'delete', 'read', 'write']);
  const row = async (kind, name) => (await page.locator(`#matrix tr[data-kind=${kind}][data-name=${name}] .answer-cell`).allTextContents()).map((text) => text.trim());
  assert.deepEqual(await row('role', 'admin'), ['allow', 'allow', 'allow']);
  assert.deepEqual(await row('role', 'viewer'), ['deny', 'allow', 'deny']);
  assert.deepEqual(await row('person', 'alice'), ['deny', 'allow', 'allow']);
  assert.equal(await page.locator('#matrix tbody th[scope=row]').count(), 6);
});

scenario('tests that fail say what was expected', s, {}, async ({ page }) => {
  await open(page);
  await says(page, 'ALLOW');
  await page.locator('#tab-tests').click();
  const tests = page.locator('#tests');
  await tests.fill((await tests.inputValue()).replace('"expect": "allow"', '"expect": "deny"'));
  await page.locator('#run-tests').click();
  await page.locator('#tests-sum', { hasText: '1 of 4 fail.' }).waitFor();
  assert.match(await page.locator('#outcomes [data-level=error]').innerText(), /Expected deny, got allow/);
});

scenario('a draft beside the policies in force', s, {}, async ({ page }) => {
  await open(page);
  await says(page, 'ALLOW');
  await page.locator('#tab-live').click();
  await page.locator('#live-sum', { hasText: 'do not speak of Document' }).waitFor();
  await page.locator('#preset').selectOption('owner');
  await page.locator('#live-sum', { hasText: 'No difference in 18 decisions.' }).waitFor();
  const policies = page.locator('#policies');
  await policies.fill((await policies.inputValue()).replace(' && !resource.published', ''));
  await page.locator('#live-sum', { hasText: /[1-9] of 18 decisions differ/ }).waitFor();
  assert.match(await page.locator('#live-grid .change').first().innerText(), /live: deny\s+draft: allow/);
});

scenario('tests are exported as a file for the command line', s, {}, async ({ page }) => {
  await open(page);
  await says(page, 'ALLOW');
  await page.locator('#tab-tests').click();
  const saved = async () => {
    const [file] = await Promise.all([page.waitForEvent('download'), page.locator('#export').click()]);
    assert.equal(file.suggestedFilename(), 'playground.test.yaml');
    return readFile(await file.path(), 'utf8');
  };
  const same = async (name) => {
    const path = new URL(`${name}.test.yaml`, exported), got = await saved();
    if (process.env.UPDATE) await writeFile(path, got);
    assert.equal(got, await readFile(path, 'utf8'), `${path.pathname} holds something else; UPDATE=1 writes it`);
  };
  for (const preset of await page.locator('#preset option').evaluateAll((list) => list.map(({ value }) => value))) {
    await page.locator('#preset').selectOption(preset);
    await page.locator('#tests-sum', { hasText: /^All/ }).waitFor();
    await same(preset);
  }
  await page.locator('#preset').selectOption('mfa');
  await page.locator('#tests').fill(JSON.stringify([{
    name: 'é 漢 🔑 "quoted" \\ # : - \u0085\u2028\nnext', principal: 'User::"a b"', action: 'Action::transfer', resource: 'Account::main',
    context: { mfa: true, list: ['yes', 'null', '1', ' ', ''], inner: { n: 0, price: 1.5 } }, expect: 'deny',
  }]).replace('"n":0', '"n":9007199254740993'));
  await page.locator('#outcomes li').nth(0).waitFor();
  await same('odd');

  await page.locator('#tests').fill('[');
  await page.locator('#export').click();
  await page.locator('#verdict-more', { hasText: 'Mend the tests' }).waitFor();
});

scenario('what the address asks for and is not there is said', s, {}, async ({ page }) => {
  await open(page, { query: '?user=nobody&action=fly&show=everything' });
  await says(page, 'ALLOW');
  assert.match(await page.locator('#notes').innerText(), /user="nobody"[^]*answer for alice[^]*action="fly"[^]*answer for read[^]*show="everything"/);
  await page.locator('#user').selectOption('bob');
  await page.locator('#notes').waitFor({ state: 'detached' });
  await page.goto(`${s.broker.issuer}/tools/policy?show=matrix`);
  await page.locator('#matrix tbody tr').first().waitFor();
  assert.ok(!(await page.locator('#notes').isVisible()));
});

scenario('a link that was cut off says so', s, {}, async ({ page }) => {
  await open(page, { query: '#draft=eyJwb2xpY2llcyI6' });
  await says(page, 'ALLOW');
  assert.ok(await page.locator('#broken', { hasText: 'This link holds no draft' }).isVisible());
  await page.locator('#reset').click();
  await page.locator('#broken').waitFor({ state: 'hidden' });
});

scenario('whose session ended signs in elsewhere and goes on with the text', s, {}, async ({ page, context, problems }) => {
  problems.allow(/status of 401/);
  await open(page);
  await says(page, 'ALLOW');
  await context.clearCookies();
  const text = 'permit (principal, action, resource);';
  await page.locator('#policies').fill(text);
  await page.locator('#trouble-title', { hasText: 'You are signed out' }).waitFor();
  assert.match(await page.locator('#verdict-more').textContent(), /signed out, so this is the last result/);
  await page.locator('#user').selectOption('bob');
  await page.waitForFunction(() => document.activeElement.id === 'trouble-sign-in');
  const opened = page.waitForEvent('popup');
  await page.locator('#trouble-sign-in').click();
  const other = await opened;
  await way.password(other, s.broker.user('alice'));
  await other.waitForURL(/tools\/policy$/);
  await page.locator('#evaluate').click();
  await says(page, 'ALLOW');
  assert.equal(await page.locator('#policies').inputValue(), text);
  assert.ok(!(await page.locator('#trouble').isVisible()));
});

scenario('a pasted token becomes the principal and goes nowhere', s, { permissions: ['clipboard-read', 'clipboard-write'] }, async ({ page, context }) => {
  await open(page);
  await says(page, 'ALLOW');
  const sent = [];
  context.on('request', (request) => sent.push(request.url() + (request.postData() ?? '')));
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = `${part({ alg: 'ES256', typ: 'at+jwt' })}.${part({ sub: 'usr_42', roles: ['viewer'], tenant: 'acme' })}.c2lnbmF0dXJl`;
  const field = page.locator('#from-token');
  await field.fill(`Bearer ${token}`);
  await says(page, 'DENY');
  assert.equal(await field.inputValue(), '');
  assert.equal(await page.locator('#principal').inputValue(), 'User::"usr_42"');
  assert.match(await page.locator('#entities').inputValue(), /"usr_42"[^]*"tenant":"acme"[^]*"viewer"/);
  await page.locator('#share').click();
  await page.waitForFunction(() => location.hash.startsWith('#draft='));
  for (const [text, words] of [['no token', /principal|token|JWT/i], [part({ sub: 1 }), /JWT/], [`${part({ alg: 'ES256' })}.${part({ iss: 'x' })}.c2ln`, /name nobody/]]) {
    await field.fill(text);
    await page.waitForFunction((source) => new RegExp(source, 'i').test(document.querySelector('#verdict-more').textContent), words.source);
    assert.equal(await field.inputValue(), '');
  }
  const draft = await page.evaluate(() => atob(location.hash.slice(7).replaceAll('-', '+').replaceAll('_', '/')));
  assert.ok(![...sent, draft, page.url()].some((text) => token.split('.').some((one) => text.includes(one))), 'a token left the page');
});

scenario('the way to the guide is large enough for a finger', s, { viewport: phone }, async ({ page }) => {
  await open(page);
  assert.ok((await page.locator('#guide-link').boundingBox()).height >= 44);
});

scenario('by the keyboard alone', s, {}, async ({ page }) => {
  await open(page);
  await says(page, 'ALLOW');
  await page.locator('#principal').focus();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('User::"bob"');
  await page.keyboard.press('Control+Enter');
  await says(page, 'DENY');
  await page.locator('#tab-one').focus();
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-matrix');
  await page.locator('#matrix tbody tr').first().waitFor();
  await page.keyboard.press('End');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-live');
  await page.keyboard.press('Home');
  assert.ok(await page.locator('#panel-one').isVisible());
  await page.locator('#policies').focus();
  await page.keyboard.press('Tab');
  assert.notEqual(await page.evaluate(() => document.activeElement.id), 'policies', 'the editor traps the keyboard');
});

scenario('from a user, and shared without a token', s, { permissions: ['clipboard-read', 'clipboard-write'] }, async ({ page, context }) => {
  await open(page, { username: 'bob' });
  await says(page, 'ALLOW');
  await page.locator('#from').selectOption('me');
  await says(page, 'DENY');
  assert.match(await page.locator('#principal').inputValue(), /^User::"usr_[0-9a-f-]+"$/);
  await page.locator('#from').selectOption('bob');
  await page.waitForFunction(() => document.querySelector('#principal').value === 'User::"bob"');
  await page.locator('#share').click();
  await page.waitForFunction(() => location.hash.startsWith('#draft='));
  const link = await page.evaluate(() => navigator.clipboard.readText());
  const requests = [];
  context.on('request', (request) => requests.push(request.url()));
  const other = await context.newPage();
  await other.goto(link);
  await says(other, 'DENY');
  assert.equal(await other.locator('#principal').inputValue(), 'User::"bob"');
  assert.ok(requests.every((url) => !url.includes('draft')), 'a server sees the draft in an address');
  await other.locator('#reset').click();
  await says(other, 'ALLOW');
  assert.equal(new URL(other.url()).hash, '');

  await page.goto(`${s.broker.issuer}/tools/policy`);
  await says(page, 'ALLOW');
  await page.locator('#context').fill('{"token": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"}');
  await page.locator('#share').click();
  await page.locator('#verdict-more', { hasText: 'take it out first' }).waitFor();
  assert.equal(await page.evaluate(() => location.hash), '');
});

scenario('a token can be looked at in the decoder, and comes back as the principal', s, {}, async ({ page }) => {
  await open(page);
  await says(page, 'ALLOW');
  await page.getByRole('link', { name: 'Look at a token' }).click();
  await page.waitForURL(`${s.broker.issuer}/tools/jwt`);
  await page.locator('#token-example').click();
  const back = page.waitForEvent('popup');
  await page.locator('#playground-link').click();
  const playground = await back;
  await says(playground, 'ALLOW');
  assert.equal(await playground.locator('#principal').inputValue(), 'User::"usr_example"');
  // A user who is taken over keeps what is known of them.
  await playground.locator('#from').selectOption('bob');
  await says(playground, 'DENY');
  assert.deepEqual(JSON.parse(await playground.locator('#entities').inputValue()).slice(0, 2).map(({ uid, attrs }) => [uid.id, Object.keys(attrs).length > 0]), [['bob', false], ['usr_example', true]]);
});

scenario('an engine that does not answer leaves the text', s, {}, async ({ page, context, problems }) => {
  problems.allow(/ERR_FAILED|status of 4/);
  await open(page);
  await says(page, 'ALLOW');
  await context.route('**/tools/policy/evaluate', (route) => route.abort());
  await page.locator('#policies').fill('permit (principal, action, resource);');
  await page.locator('#trouble', { hasText: 'Your text is still here' }).waitFor();
  assert.equal(await page.locator('#policies').inputValue(), 'permit (principal, action, resource);');
  await context.unroute('**/tools/policy/evaluate');
  await page.locator('#evaluate').click();
  await says(page, 'ALLOW');
  assert.ok(!(await page.locator('#trouble').isVisible()));
});

scenario('on a phone the panes fold and the verdict stays in sight', s, { viewport: phone }, async ({ page }) => {
  await open(page);
  await says(page, 'ALLOW');
  assert.ok(!(await page.locator('#entities').isVisible()));
  await page.locator('#result').scrollIntoViewIfNeeded();
  await page.locator('#tab-matrix').click();
  await page.locator('#matrix tbody tr').first().waitFor();
  await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
  const box = await page.locator('#verdict').boundingBox();
  assert.ok(box.y >= 0 && box.y < phone.height, `the verdict is at ${box.y}`);
});

for (const colorScheme of ['light', 'dark']) {
  for (const [size, viewport] of Object.entries({ desktop, phone })) {
    scenario(`axe has nothing to say, ${colorScheme}, ${size}`, s, { colorScheme, viewport }, async ({ page }) => {
      await open(page);
      await says(page, 'ALLOW');
      await page.evaluate(axe.source);
      const look = async (name) => {
        const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
        assert.deepEqual(violations.map(({ id, help, nodes }) => `${name}: ${id}: ${help}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`), []);
        const sideways = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(sideways <= 0, `${name}: ${sideways} px wider than the window`);
        if (process.env.PICTURES) await page.screenshot({ path: `${process.env.PICTURES}/${colorScheme}-${size}-${name}.png`, fullPage: true });
      };
      await look('one');
      await page.locator('#preset').selectOption('mfa');
      await says(page, 'DENY');
      for (const tab of ['matrix', 'tests', 'live']) {
        await page.locator(`#tab-${tab}`).click();
        await says(page, 'DENY');
        await look(tab);
      }
      await page.locator('#preset').selectOption('owner');
      await says(page, 'DENY');
      const policies = page.locator('#policies');
      await policies.fill((await policies.inputValue()).replace(' && !resource.published', ''));
      await says(page, 'ALLOW');
      await look('differences');
      await policies.fill('permit (prinzipal, action, resource);');
      await says(page, 'NOT VALID');
      await look('wrong');
    });
  }
}
