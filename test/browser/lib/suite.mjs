// What most specs share: one browser and one broker for the file.

import { after, before } from 'node:test';
import { launch } from './browser.mjs';
import { startBroker } from './broker.mjs';

/**
 * Starts a browser and a broker before the tests of a file and ends them afterwards. `prepare`, if given, runs first; what
 * it returns are the options of startBroker, and `origins` lists more origins to watch beside the broker's and the demo's.
 */
export function suite({ prepare = async () => ({}), origins = () => [] } = {}) {
  const state = {
    browser: () => state.chromium,
    ours: () => [
      new URL(state.broker.issuer).origin, new URL(state.broker.dev.demo_url).origin,
      ...Object.values(state.broker.dev.upstreams).map((url) => new URL(url).origin), ...origins(),
    ],
    log: () => state.broker.output,
  };
  before(async () => {
    const options = await prepare();
    [state.chromium, state.broker] = await Promise.all([launch(), startBroker(options)]);
  });
  after(async () => {
    await state.chromium?.close();
    await state.broker?.stop();
  });
  return state;
}
