/**
 * How much memory do idle keep-alive connections take?
 *
 * Opens connections to a gateway of one worker, sends one request on each, and compares the gateway's resident memory
 * while they are all idle with that before. Argument: --connections N (10000).
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { startNginx } from '../test/support/nginx.ts';
import { startPolicyGateway } from './support/policy-setup.ts';
import { listTree, readMemoryMib } from './support/processor.ts';

const at = process.argv.indexOf('--connections');
const wanted = at < 0 ? 10_000 : Number(process.argv[at + 1]);
const batch = 200;

const upstream = await startNginx({ server: `location / { return 200 'ok'; }` });
const gateway = await startPolicyGateway(upstream.url, null);
const port = Number(new URL(gateway.url).port);
const memory = (): number => listTree(gateway.process.pid).reduce((sum, id) => sum + readMemoryMib(id), 0);

async function open(): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(socket, 'data');
  return socket;
}

// Warm: code compiled, pools filled, heap grown.
const warm = await Promise.all(Array.from({ length: batch }, open));
for (let i = 0; i < 20; i++)
  await Promise.all(
    warm.map(async (socket) => {
      socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await once(socket, 'data');
    }),
  );
const before = memory();
const sockets: Socket[] = [];
while (sockets.length < wanted) sockets.push(...(await Promise.all(Array.from({ length: batch }, open))));
const opened = memory();
await new Promise((resolve) => setTimeout(resolve, 5000));
const idle = memory();
console.log(
  `${sockets.length} idle connections: ${before.toFixed(0)} MiB before, ${opened.toFixed(0)} when opened, ` +
    `${idle.toFixed(0)} after 5 s: ${(idle - before).toFixed(0)} MiB more, ${(((idle - before) * 1024) / sockets.length).toFixed(1)} KiB each`,
);
process.exit(0);
