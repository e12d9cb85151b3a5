// An API on Node.js that trusts the broker's access tokens. README.md beside it says how to run it.

import { createServer } from 'node:http';

import { answer, guard, Refused, requireRoles, requireScopes } from './guard.mjs';

const { ISSUER: issuer, AUDIENCE: audience, JWKS_URL: jwksURL, LISTEN: listen = '127.0.0.1:8093' } = process.env;
if (!issuer || !audience) {
  console.error('node-api: ISSUER and AUDIENCE are needed');
  process.exit(1);
}
const callerOf = guard({ issuer, audience, jwksURL });

const routes = {
  'GET /tickets': async (request) => {
    const caller = await callerOf(request);
    return { status: 200, body: { caller, tickets: ['a broken kettle'] } };
  },
  'POST /tickets': async (request) => {
    const caller = await callerOf(request);
    requireRoles(caller, 'editor', 'admin');
    return { status: 201, body: { caller, tickets: ['a lost cup'] } };
  },
  'DELETE /tickets/1': async (request) => {
    const caller = await callerOf(request);
    requireScopes(caller, 'tickets:write');
    return { status: 200, body: { caller, tickets: [] } };
  },
};

const server = createServer(async (request, response) => {
  try {
    const route = routes[`${request.method} ${request.url}`];
    if (!route) throw new Refused(404, 'not_found', 'there is no such route');
    const { status, body } = await route(request);
    response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(JSON.stringify(body));
  } catch (error) {
    if (!(error instanceof Refused)) console.error(error);
    answer(response, error instanceof Refused ? error : new Refused(500, 'internal', 'the request could not be answered'), audience);
  }
});
const [, host, port] = /^(.*):(\d+)$/.exec(listen);
server.listen(Number(port), host, () => {
  const { address, port: given } = server.address();
  console.log(`node-api listens on http://${address}:${given} for tokens with the audience ${audience}`);
});
