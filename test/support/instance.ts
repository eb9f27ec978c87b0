import { createHmac } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startTollgate } from './command-line.ts';
import { eventually, type RunningProcess } from './processes.ts';
import { makeFolder } from './temporary-folder.ts';

export interface Endpoints {
  readonly gateway: string;
  readonly admin: string;
  readonly control: string;
  readonly sandbox: string;
}

/** A whole installation as `npm start` runs it, on free ports. */
export interface TestInstance {
  readonly process: RunningProcess;
  readonly dataDir: string;
  readonly endpoints: Endpoints;
  readonly operatorToken: string;
  /** Runs a command against this instance and gives its JSON; throws with its output when it fails. */
  command(...args: readonly string[]): Promise<unknown>;
  /** The process of one of the planes. */
  findPlane(name: 'gateway' | 'control-plane'): Promise<number>;
  /** SIGINT, as Ctrl-C; gives the exit code. */
  stop(): Promise<number | null>;
  /** Kills all of it as a power failure would. */
  crash(): Promise<void>;
}

export interface InstanceOptions {
  /** Default: a fresh one, removed at the end of the test process. */
  readonly dataDir?: string;
  readonly config?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly args?: readonly string[];
}

export async function startInstance(options: InstanceOptions = {}): Promise<TestInstance> {
  const dataDir = options.dataDir ?? makeFolder('data');
  const ports = ['gateway', 'admin', 'control', 'sandbox'].flatMap((name) => [`--${name}-port`, '0']);
  const started = startTollgate(
    [
      ...['start', '--data-dir', dataDir, ...ports],
      ...(options.config === undefined ? [] : ['--config', options.config]),
      ...(options.args ?? []),
    ],
    {
      env: { TOLLGATE_WORKERS: '2', NODE_COMPILE_CACHE: join(makeCacheFolder(), 'compiled'), ...options.env },
    },
  );
  await started.waitFor(/Ctrl-C stops it/, 120_000);
  const endpoints = JSON.parse(readFileSync(join(dataDir, 'endpoints.json'), 'utf8')) as Endpoints;
  return {
    process: started,
    dataDir,
    endpoints,
    operatorToken: readFileSync(join(dataDir, 'operator.token'), 'utf8').trim(),
    command: (...args) => runJson([...args, '--data-dir', dataDir, '--json']),
    findPlane: (name) => eventually(() => findChild(started.pid, name)),
    async stop() {
      started.kill('SIGINT');
      return (await started.ended).code;
    },
    async crash() {
      const planes = [findChild(started.pid, 'gateway'), findChild(started.pid, 'control-plane')];
      for (const pid of [started.pid, ...planes]) process.kill(pid, 'SIGKILL');
      await started.ended;
    },
  };
}

let cacheFolder: string | undefined;
function makeCacheFolder(): string {
  cacheFolder ??= makeFolder('compiled');
  return cacheFolder;
}

/** Runs `tollgate …` to its end and parses what it printed. */
export async function runJson(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<unknown> {
  const started = startTollgate(args, { env });
  const { code } = await started.ended;
  if (code !== 0) throw new Error(`tollgate ${args.join(' ')} ended with ${code}: ${started.output()}`);
  return JSON.parse(started.stdout());
}

/** The child of a process that runs `tollgate NAME …`. */
function findChild(parent: number, name: string): number {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const ppid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      if (ppid !== parent) continue;
      const words = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0');
      if (words[2] === name) return Number(entry);
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error(`no process ${name} below ${parent}`);
}

/** The value of X-API-Key for a body. */
export function signBody(key: { readonly key_id: string; readonly secret: string }, body: string): string {
  return `${key.key_id}:${createHmac('sha256', key.secret).update(body).digest('hex')}`;
}
