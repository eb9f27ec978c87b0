import { createHash } from 'node:crypto';
import { unlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError } from './command.ts';

/**
 * Keeps a second instance away from a data folder, for the embedded database would not survive two. What is held is a
 * socket, so that the lock goes with the process, however it ends.
 */
export async function lockFolder(folder: string): Promise<() => void> {
  const name = `tollgate-${process.getuid?.() ?? 0}-${createHash('sha256').update(folder).digest('hex').slice(0, 24)}`;
  // Linux has sockets without a file, which nothing needs to clean up.
  const address = process.platform === 'linux' ? `\0${name}` : join(tmpdir(), `${name}.sock`);
  const server = createServer((socket) => socket.destroy());
  const listen = (): Promise<boolean> =>
    new Promise((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
      );
      server.listen(address, () => resolve(true));
    });
  if (!(await listen())) {
    if (address.startsWith('\0') || (await answers(address))) {
      throw new CommandError(
        `another instance uses the data folder ${folder}; stop it or give another --data-dir`,
      );
    }
    unlinkSync(address);
    await listen();
  }
  server.unref();
  return () => server.close();
}

function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address, () => {
      socket.destroy();
      resolve(true);
    }).once('error', () => resolve(false));
  });
}
