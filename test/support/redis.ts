import { findFreePort, type RunningProcess, startProcess } from './processes.ts';
import { makeFolder, removeFolder } from './temporary-folder.ts';
import { requireTool } from './tools.ts';

/** A private Redis on a free port of 127.0.0.1, without persistence. */
export interface TestRedis {
  readonly url: string;
  readonly port: number;
  readonly process: RunningProcess;
  /** Freezes it (SIGSTOP): connections stay, nothing answers. */
  pause(): void;
  resume(): void;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export interface TestRedisOptions {
  /** The port of an earlier server, to come back as the same one. */
  readonly port?: number;
  /** Further configuration, for example `['--cluster-enabled', 'yes']`. */
  readonly args?: readonly string[];
}

export async function startRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  const folder = makeFolder('redis');
  const port = options.port ?? (await findFreePort());
  const started = startProcess(requireTool('redis-server'), [
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder],
    ...['--save', '', '--appendonly', 'no', '--daemonize', 'no'],
    ...(options.args ?? []),
  ]);
  await started.waitFor(/Ready to accept connections/);
  const stop = async (): Promise<void> => {
    started.kill('SIGCONT');
    await started.stop('SIGKILL');
    removeFolder(folder);
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    process: started,
    pause: () => started.kill('SIGSTOP'),
    resume: () => started.kill('SIGCONT'),
    kill: stop,
    stop,
  };
}
