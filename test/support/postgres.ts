import { randomBytes } from 'node:crypto';
import { chownSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { findFreePort, type RunningProcess, runCommand, startProcess } from './processes.ts';
import { makeFolder, removeFolder } from './temporary-folder.ts';
import { requireTool } from './tools.ts';

/** A PostgreSQL server. */
export interface TestPostgres {
  /** Of the database `postgres`, as superuser. */
  readonly url: string;
  readonly port: number;
  /** Null when the server is shared by the whole test run. */
  readonly process: RunningProcess | null;
  /** Makes an empty database and gives its URL. */
  createDatabase(): Promise<string>;
  /** Ends a private server as a crash would; what was committed is recovered by `start`. */
  crash(): Promise<void>;
  /** Starts a private server again after `crash`, at the same address. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Set by `test/run.ts`: the server that all files of a run share, each with databases of its own. */
const sharedUrl = process.env.TOLLGATE_TEST_POSTGRES_URL;

/** PostgreSQL refuses to run as root; then it runs as its own user or as nobody. */
function unprivilegedUser(): { uid: number; gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const fields = lines.find((line) => line.startsWith(`${name}:`))?.split(':');
    if (fields) return { uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  return { uid: 65534, gid: 65534 };
}

/**
 * Starts a private server, for tests that stop or reconfigure it. `durable` keeps fsync on, for crash tests.
 */
export async function startPostgres(
  options: { readonly durable?: boolean; readonly settings?: readonly string[] } = {},
): Promise<TestPostgres> {
  const folder = makeFolder('postgres');
  const user = unprivilegedUser();
  if (user) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const env = { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' };
  await runCommand(
    requireTool('initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'],
    { user, env, cwd: folder },
  );
  const port = await findFreePort();
  const settings = [
    ...['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_connections=200'],
    ...(options.durable ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']),
    ...(options.settings ?? []),
  ];
  const launch = async (): Promise<RunningProcess> => {
    const launched = startProcess(
      requireTool('postgres'),
      ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
      { user, env, cwd: folder },
    );
    await launched.waitFor(/database system is ready to accept connections/);
    return launched;
  };
  let started = await launch();
  return {
    ...describe(`postgres://postgres@127.0.0.1:${port}/postgres`),
    get process() {
      return started;
    },
    async crash() {
      await started.stop('SIGQUIT');
    },
    async start() {
      started = await launch();
    },
    async stop() {
      await started.stop('SIGINT');
      removeFolder(folder);
    },
  };
}

/** A server that may be shared with other test files of this run; what a test gets is its own database. */
export async function usePostgres(): Promise<TestPostgres> {
  if (!sharedUrl) return startPostgres();
  const refuse = async (): Promise<void> => {
    throw new Error('this server is shared; start a private one');
  };
  return { ...describe(sharedUrl), process: null, crash: refuse, start: refuse, stop: async () => {} };
}

function describe(url: string): Pick<TestPostgres, 'url' | 'port' | 'createDatabase'> {
  return {
    url,
    port: Number(new URL(url).port),
    async createDatabase() {
      const name = `test_${randomBytes(8).toString('hex')}`;
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      try {
        await client.query(`CREATE DATABASE ${name}`);
      } finally {
        await client.end();
      }
      const made = new URL(url);
      made.pathname = `/${name}`;
      return made.href;
    },
  };
}
