import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { Change, StreamLine } from '#contract/registry.ts';
import { splitBatches } from '#contract/usage-batch.ts';

/** Takes usage batches as the control plane does, in memory, and serves `registry` as the snapshot of revision 1. */
export interface TestReceiver {
  readonly url: string;
  readonly port: number;
  readonly batches: Buffer[];
  /** Status of the answers from now on; null leaves requests without one. */
  answer(status: number | null): void;
  stop(): Promise<void>;
}

export async function startReceiver(
  options: { token?: string; port?: number; registry?: readonly Change[] } = {},
): Promise<TestReceiver> {
  const batches: Buffer[] = [];
  let status: number | null = 200;
  const server: Server = createServer(async (request, response) => {
    if (request.url?.startsWith('/registry/v1/stream')) {
      const changes = options.registry ?? [];
      const lines: StreamLine[] = [
        { type: 'snapshot', revision: 1 },
        ...changes.map((change): StreamLine => ({ type: 'change', ...change })),
        { type: 'snapshot_end', revision: 1, count: changes.length },
      ];
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      response.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
      return;
    }
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    if (status === null) return;
    const authorized = request.headers.authorization === `Bearer ${options.token ?? 'token'}`;
    const expected = request.method === 'POST' && request.url === '/usage/v1/batches';
    const answered = !expected ? 404 : authorized ? status : 401;
    if (answered === 200)
      batches.push(...splitBatches(Buffer.concat(pieces)).map((batch) => Buffer.from(batch)));
    response.writeHead(answered, { 'content-type': 'application/json' }).end('{}');
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    batches,
    answer(next) {
      status = next;
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
