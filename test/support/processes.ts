import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A child process of a test; it is killed when the test process ends, whatever way that is. */
export interface RunningProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  /** What it has printed so far, both streams. */
  output(): string;
  stdout(): string;
  /** Resolves with the first match in its output; rejects when it ends first or after `timeoutMs`. */
  waitFor(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  /** Resolves once it has ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** SIGTERM (or `signal`), SIGKILL after `graceMs`; resolves once it has ended. */
  stop(signal?: NodeJS.Signals, graceMs?: number): Promise<void>;
  kill(signal?: NodeJS.Signals): void;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export interface ProcessOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Start it as this user and group; only root may. */
  readonly user?: { readonly uid: number; readonly gid: number } | null;
  readonly input?: string;
}

export function startProcess(
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): RunningProcess {
  const spawnOptions: SpawnOptions = {
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: options.env ?? process.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.user ?? {}),
  };
  const child = spawn(command, args, spawnOptions);
  running.add(child);
  let all = '';
  let out = '';
  const waiting = new Set<() => void>();
  const onText = (text: string): void => {
    all += text;
    for (const look of waiting) look();
  };
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    onText(text);
  });
  child.stderr!.setEncoding('utf8').on('data', onText);
  child.stdin?.end(options.input);
  let failure: Error | null = null;
  let exited = false;
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    const finish = (code: number | null, signal: NodeJS.Signals | null): void => {
      exited = true;
      running.delete(child);
      resolve({ code, signal });
      for (const look of waiting) look();
    };
    child.once('error', (error) => {
      failure = error;
      finish(null, null);
    });
    child.once('close', finish);
  });
  return {
    child,
    pid: child.pid ?? -1,
    output: () => all,
    stdout: () => out,
    ended,
    waitFor(pattern, timeoutMs = 30_000) {
      return new Promise((resolve, reject) => {
        const settle = (act: () => void): void => {
          clearTimeout(timer);
          waiting.delete(look);
          act();
        };
        const look = (): void => {
          const match = pattern.exec(all);
          if (match) settle(() => resolve(match));
          else if (exited) {
            settle(() =>
              reject(new Error(`${command} ended: ${failure?.message ?? ''}\n${all.slice(-4000)}`)),
            );
          }
        };
        const timer = setTimeout(() => {
          settle(() => reject(new Error(`${command} did not print ${pattern}:\n${all.slice(-4000)}`)));
        }, timeoutMs);
        waiting.add(look);
        look();
      });
    },
    kill(signal = 'SIGKILL') {
      child.kill(signal);
    },
    async stop(signal = 'SIGTERM', graceMs = 10_000) {
      if (exited) return;
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Runs a command to its end; rejects with its output unless it exits with 0. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<string> {
  const started = startProcess(command, args, options);
  const { code, signal } = await started.ended;
  if (code !== 0) {
    throw new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}:\n${started.output()}`);
  }
  return started.stdout();
}

/** A TCP port of 127.0.0.1 that was free a moment ago, for programs that cannot be asked for port 0. */
export async function findFreePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Calls `attempt` until it succeeds, a few milliseconds apart; rejects with its last error after `timeoutMs`. */
export async function eventually<T>(attempt: () => T | Promise<T>, timeoutMs = 15_000): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 2, 100)) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
