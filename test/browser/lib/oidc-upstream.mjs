// A real OpenID provider that nobody here wrote: the certified package oidc-provider, with its development pages.

import { createServer } from 'node:http';
import Provider from 'oidc-provider';
import { serve } from './ports.mjs';

/**
 * Starts it on loopback for one client, whose redirect address is given. Whoever signs in under a login that `accounts`
 * holds has those claims; any other login is a person without an address.
 */
export async function startUpstream({ redirectURI, accounts = {} }) {
  const client = { client_id: 'broker', client_secret: 'upstream-secret', redirect_uris: [redirectURI] };
  let handler = (_, response) => response.writeHead(503).end();
  const server = createServer((request, response) => handler(request, response));
  const { port, stop } = await serve(server);
  const issuer = `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, {
    clients: [client],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] },
    cookies: { keys: ['only for tests'] },
    async findAccount(_, login) {
      return { accountId: login, claims: async () => ({ sub: login, name: login, ...accounts[login] }) };
    },
  });
  handler = provider.callback();
  return { issuer, clientID: client.client_id, clientSecret: client.client_secret, accounts, stop };
}
