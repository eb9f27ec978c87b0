import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CommandError } from './command.ts';

/** What a supervised command tells its supervisor. */
export type ChildMessage =
  | { readonly type: 'ready'; readonly urls: Readonly<Record<string, string>> }
  | { readonly type: 'failed'; readonly message: string };

export interface Supervised {
  /** Resolves with the addresses of the first start; rejects with the child's own clear line. */
  readonly ready: Promise<Readonly<Record<string, string>>>;
  /** Asks it to drain and resolves once it has ended. */
  stop(): Promise<void>;
}

export interface SupervisedOptions {
  readonly name: string;
  /** The words of the command line; `urls` are those of the start before, null at first. */
  readonly args: (urls: Readonly<Record<string, string>> | null) => readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Where its standard output goes: 1 or 2. */
  readonly output: 1 | 2;
  readonly report: (line: string) => void;
  /** Longest time for a drain. */
  readonly stopTimeoutMs?: number;
}

const script = fileURLToPath(new URL('./tollgate.ts', import.meta.url));
const firstPauseMs = 100;
const longestPauseMs = 5000;
const stableAfterMs = 30_000;

/**
 * Runs another command of this program in a process of its own and starts it again when it ends unasked. The child
 * ends by itself when this process is gone.
 */
export function supervise(options: SupervisedOptions): Supervised {
  let child: ChildProcess;
  let urls: Readonly<Record<string, string>> | null = null;
  let stopping = false;
  let pauseMs = firstPauseMs;
  let restart: NodeJS.Timeout | undefined;
  let ended: Promise<void> = Promise.resolve();

  const start = (onReady: () => void, onFailure: (message: string) => void): void => {
    const startedAt = performance.now();
    let failure: string | null = null;
    const started = spawn(process.execPath, [script, ...options.args(urls)], {
      stdio: ['ignore', options.output, 2, 'ipc'],
      env: options.env,
    });
    child = started;
    started.on('message', (message: ChildMessage) => {
      if (message.type === 'failed') failure = message.message;
      else {
        urls = message.urls;
        onReady();
      }
    });
    ended = new Promise((resolve) => {
      started.once('error', (error) => {
        failure = error.message;
        resolve();
      });
      started.once('exit', (code, signal) => {
        resolve();
        if (stopping) return;
        const reason = failure ?? `${options.name} ended with ${signal ?? code}`;
        onFailure(reason);
        if (urls === null) return;
        if (performance.now() - startedAt > stableAfterMs) pauseMs = firstPauseMs;
        options.report(`${reason}; starting ${options.name} again`);
        restart = setTimeout(() => {
          start(
            () => options.report(`${options.name} runs again`),
            () => {},
          );
        }, pauseMs);
        pauseMs = Math.min(pauseMs * 2, longestPauseMs);
      });
    });
  };

  const ready = new Promise<Readonly<Record<string, string>>>((resolve, reject) => {
    start(
      () => resolve(urls!),
      (message) => reject(new CommandError(message)),
    );
  });
  return {
    ready,
    async stop() {
      stopping = true;
      clearTimeout(restart);
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), options.stopTimeoutMs ?? 20_000);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Called by a command once it serves: tells its supervisor, or prints the addresses. */
export function announceReady(urls: Readonly<Record<string, string>>, json: boolean): void {
  if (process.send) process.send({ type: 'ready', urls } satisfies ChildMessage);
  else if (json) console.log(JSON.stringify(urls));
  else for (const [name, url] of Object.entries(urls)) console.log(`${name.padEnd(8)} ${url}`);
}
