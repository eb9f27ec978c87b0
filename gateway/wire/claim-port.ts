import { createServer } from 'node:net';

/**
 * Rejects with EADDRINUSE when anything listens there already. Workers share their port (`reusePort`), so that a
 * second gateway would otherwise quietly take half of the connections of a first one.
 */
export async function claimPort(host: string, port: number): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject);
    probe.listen({ host, port, exclusive: true }, resolve);
  });
  await new Promise((resolve) => probe.close(resolve));
}
