// A Chromium that fails a test for what a person would not see: a violated content policy, an error on the console, a page
// that reaches out to the network, a server error behind a redirect.

import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const artifacts = fileURLToPath(new URL('../artifacts/', import.meta.url));
const patience = 15_000;

export const desktop = { width: 1280, height: 800 };
export const phone = { width: 320, height: 640 };

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update',
      '--disable-sync',
      // Nothing here may depend on the network; a page that tries fails at once and is reported.
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]',
    ],
  });
}

/** Collects what goes wrong on the pages of a browser context, as far as they are ours. */
class Problems {
  #found = [];
  #allowed = [];

  /** @param {() => string[]} ours origins that are ours; the pages of a stranger's upstream are not our concern. */
  constructor(ours) {
    this.isOurs = (url) => ours().some((origin) => url === origin || url.startsWith(`${origin}/`));
  }

  /** Expects problems that match, such as the console's word on a page that answers 400 on purpose. */
  allow(pattern) { this.#allowed.push(pattern); }

  add(text) { this.#found.push(text); }

  get rest() { return this.#found.filter((text) => !this.#allowed.some((pattern) => pattern.test(text))); }

  async watch(context) {
    await context.exposeBinding('reportViolation', ({ frame }, violation) => {
      if (this.isOurs(frame.url())) this.add(`content policy: ${violation} on ${frame.url()}`);
    });
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (e) => {
        window.reportViolation(`${e.violatedDirective} blocked ${e.blockedURI} (${e.sourceFile}:${e.lineNumber})`);
      });
    });
    context.on('console', (message) => {
      const where = message.location().url || message.page()?.url() || '';
      if (message.type() === 'error' && this.isOurs(where)) this.add(`console: ${message.text()} at ${where}`);
    });
    context.on('weberror', (webError) => {
      if (this.isOurs(webError.page()?.url() ?? '')) this.add(`script: ${webError.error().message}`);
    });
    context.on('response', (response) => this.#check(response));
  }

  #check(response) {
    if (!this.isOurs(response.url())) return;
    const headers = response.headers();
    if (response.status() >= 500) this.add(`server error: ${response.status()} for ${response.url()}`);
    if (response.status() !== 200 || !(headers['content-type'] ?? '').startsWith('text/html')) return;
    if (!headers['content-security-policy']) this.add(`no content policy: ${response.url()}`);
  }
}

/**
 * Declares a test in a fresh browser profile. `run` receives the page, the context and the problems found so far; none may
 * be left at its end. A failure leaves a picture and the page's text under artifacts/.
 *
 * @param {string} name
 * @param {{browser: () => import('playwright-core').Browser, ours: () => string[], log?: () => string}} suite
 * @param {object} options of the browser context
 */
export function scenario(name, suite, options, run) {
  test(name, { timeout: 120_000 }, async () => {
    const context = await suite.browser().newContext({ viewport: desktop, locale: 'en-US', ...options });
    context.setDefaultTimeout(patience);
    const problems = new Problems(suite.ours);
    await problems.watch(context);
    const page = await context.newPage();
    try {
      await run({ page, context, problems });
      assert.deepEqual(problems.rest, [], 'the browser reported problems');
    } catch (error) {
      await keepEvidence(name, context, suite, problems);
      throw error;
    } finally {
      await context.close();
    }
  });
}

async function keepEvidence(name, context, suite, problems) {
  await mkdir(artifacts, { recursive: true });
  const base = path.join(artifacts, name.replaceAll(/[^\w]+/g, '-').slice(0, 80));
  const pages = context.pages();
  for (const [i, page] of pages.entries()) {
    try {
      await page.screenshot({ path: `${base}.${i}.png`, fullPage: true });
      await writeFile(`${base}.${i}.html`, `<!-- ${page.url()} -->\n${await page.content()}`);
    } catch {
      // A page that is gone or hangs leaves no evidence; the test's own error is what counts.
    }
  }
  const urls = pages.map((page) => page.url()).join('\n');
  await writeFile(`${base}.log`, `${urls}\n\n${problems.rest.join('\n')}\n\n${suite.log?.() ?? ''}`);
}
