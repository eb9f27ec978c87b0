import { rmSync } from 'node:fs';
import type { Server } from 'node:http';
import type { DecisionSettings } from '#contract/gateway-settings.ts';
import { createDecisionServer, type DecisionHandler } from './server.ts';

export interface DecisionListener {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Opens the decision listener of one worker. A TCP port is shared by all workers; a Unix socket belongs to the first.
 * Null where this worker has none to open.
 */
export async function openDecisionListener(
  settings: DecisionSettings | null,
  worker: number,
  handler: DecisionHandler,
  maxBodyBytes: number,
): Promise<DecisionListener | null> {
  if (settings === null || (settings.socket !== undefined && worker !== 0)) return null;
  const server = createDecisionServer(handler, maxBodyBytes);
  const { socket } = settings;
  // Left behind by a process that was killed.
  if (socket !== undefined) rmSync(socket, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (socket !== undefined) server.listen(socket, resolve);
    else {
      const { host = '127.0.0.1', port = 8082 } = settings;
      server.listen({ host, port, reusePort: true }, resolve);
    }
  });
  const address = server.address();
  return { port: typeof address === 'object' ? (address?.port ?? 0) : 0, close: () => close(server) };
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const late = setTimeout(() => server.closeAllConnections(), 1000);
  await closed;
  clearTimeout(late);
}
