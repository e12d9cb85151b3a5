import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port that was free a moment ago, for an address that must be written down before anybody listens there. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Serves `handler` on a free port of loopback until `stop`. */
export async function serve(server, host = '127.0.0.1', port = 0) {
  server.listen(port, host);
  await once(server, 'listening');
  return {
    port: server.address().port,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
