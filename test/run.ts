/**
 * `npm test`: types, lint, the programs tests need, and then every `*.test.ts` below `test/`.
 * `npm test -- PATH…` runs only the tests of those files or folders.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from './support/postgres.ts';

const root = join(import.meta.dirname, '..');
process.chdir(root);

function runStep(name: string, command: string, ...args: string[]): void {
  const startedAt = performance.now();
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  if (status !== 0) {
    console.error(`✖ ${name} failed`);
    process.exit(1);
  }
  console.log(`✔ ${name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`);
}

function findTests(paths: readonly string[]): string[] {
  const files = paths.flatMap((path) => {
    if (!existsSync(path)) {
      console.error(`no such file or folder: ${path}`);
      process.exit(1);
    }
    return statSync(path).isDirectory() ? globSync(join(path, '**/*.test.ts')) : [path];
  });
  return [...new Set(files)].sort();
}

/** Settings of the caller's shell must not reach the tests. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    const foreign = /^(TOLLGATE_|DATABASE_URL$|REDIS_URL$|API_KEYS$|OAUTH_|OTEL_|PG|KAFKA_|VAULT_)/.test(
      name,
    );
    if (!foreign || name.startsWith('TOLLGATE_TEST_')) env[name] = value;
  }
  return env;
}

const paths = process.argv.slice(2);
const bin = join(root, 'node_modules/.bin');
if (paths.length === 0) {
  runStep('types', 'npm', 'run', '--silent', 'typecheck');
  runStep('lint', join(bin, 'biome'), 'check', '.', '--diagnostic-level=error');
}
runStep('tools', process.execPath, join(root, 'test/support/tools.ts'));

const files = findTests(paths.length === 0 ? ['test'] : paths);
if (files.length === 0) {
  console.error('no tests found');
  process.exit(1);
}
const postgres = await startPostgres();
const concurrency = Math.max(2, Math.min(4, availableParallelism()));
const { status } = spawnSync(
  process.execPath,
  [
    '--test',
    `--test-concurrency=${concurrency}`,
    '--test-timeout=240000',
    `--test-reporter=${join(root, 'test/support/reporter.ts')}`,
    '--test-reporter-destination=stdout',
    ...files,
  ],
  { stdio: 'inherit', env: { ...cleanEnvironment(), TOLLGATE_TEST_POSTGRES_URL: postgres.url } },
);
await postgres.stop();
process.exit(status ?? 1);
