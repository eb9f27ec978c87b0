import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { CommandError } from './command.ts';

/** Turns a listener's failure into one clear line. */
export async function explainListenError<T>(starting: Promise<T>, what: string): Promise<T> {
  try {
    return await starting;
  } catch (error) {
    const { code, port, message } = error as NodeJS.ErrnoException & { port?: number };
    if (code === 'EADDRINUSE') throw new CommandError(`${what}: port ${port} is in use`);
    if (code === 'EACCES' && port !== undefined)
      throw new CommandError(`${what}: port ${port} is not permitted`);
    if (error instanceof CommandError) throw error;
    throw new CommandError(`${what}: ${message}`);
  }
}

const sameSignalMs = 1000;
/** How long a process whose supervisor is gone may take to close. */
const orphanTimeoutMs = 15_000;

function endAtOnce(): void {
  process.exit(1);
}

/** Below a supervisor: ends this process when the supervisor ends before {@link runUntilSignal} has been reached. */
export function endWithSupervisor(): void {
  if (process.send) process.once('disconnect', endAtOnce);
}

/**
 * Waits for SIGINT or SIGTERM, then closes and resolves with 0; a second signal ends the process at once. Below a
 * supervisor Ctrl-C reaches the whole group, so SIGINT is left to the supervisor, and its end is the signal too.
 */
export async function runUntilSignal(close: () => Promise<void>): Promise<number> {
  await new Promise<void>((resolve) => {
    let askedAt = 0;
    const ask = (): void => {
      // One Ctrl-C comes twice when npm passes on what the terminal has sent to the whole group.
      if (askedAt > 0 && performance.now() - askedAt > sameSignalMs) process.exit(1);
      askedAt ||= performance.now();
      resolve();
    };
    process.on('SIGTERM', ask);
    process.on('SIGINT', process.send ? () => {} : ask);
    process.off('disconnect', endAtOnce);
    const orphaned = (): void => {
      setTimeout(() => process.exit(1), orphanTimeoutMs).unref();
      resolve();
    };
    process.once('disconnect', orphaned);
    if (process.send && !process.connected) orphaned();
  });
  await close();
  if (process.connected) process.disconnect?.();
  return 0;
}

/** A port of 127.0.0.1 that is free now. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
