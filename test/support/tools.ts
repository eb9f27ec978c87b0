/**
 * The programs that tests run against: where they are, and how they get onto the machine.
 *
 * Run as a script it installs the Debian packages that are missing when it may (root on Debian or Ubuntu), and
 * otherwise names them. Tests, `.ci/run` and benchmarks share this list: a test that needs another program adds it.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, chmodSync, constants, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

interface Tool {
  readonly command: string;
  /** Debian packages. */
  readonly packages: readonly string[];
}

const tools: readonly Tool[] = [
  { command: 'redis-server', packages: ['redis-server'] },
  { command: 'postgres', packages: ['postgresql'] },
  { command: 'nginx', packages: ['nginx'] },
  { command: 'caddy', packages: ['caddy'] },
  { command: 'haproxy', packages: ['haproxy'] },
  { command: 'php', packages: ['php-cli'] },
  { command: 'python3', packages: ['python3'] },
  { command: 'wrk', packages: ['wrk'] },
  { command: 'java', packages: ['default-jre-headless'] },
  { command: 'mvn', packages: ['maven'] },
  { command: 'chromium', packages: ['chromium'] },
  { command: 'curl', packages: ['curl'] },
  { command: 'openssl', packages: ['openssl'] },
  { command: 'named', packages: ['bind9'] },
  { command: 'dig', packages: ['bind9-dnsutils'] },
  { command: 'pebble', packages: ['pebble'] },
  { command: 'pdns_server', packages: ['pdns-server', 'pdns-backend-sqlite3'] },
];

/** Large downloads (brokers, browsers, load tools) are kept here, outside of the tree, between runs. */
export const cacheFolder: string =
  process.env.TOLLGATE_TEST_CACHE ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tollgate');

function searchFolders(): string[] {
  const folders = (process.env.PATH ?? '').split(':').filter((folder) => folder !== '');
  folders.push('/usr/sbin', '/sbin', '/usr/local/sbin');
  const versions = '/usr/lib/postgresql';
  if (existsSync(versions)) {
    const byNewest = readdirSync(versions).sort((a, b) => Number(b) - Number(a));
    for (const version of byNewest) folders.push(join(versions, version, 'bin'));
  }
  return folders;
}

/** The path of a program, or null when it is not installed. */
export function findTool(command: string): string | null {
  for (const folder of searchFolders()) {
    const path = join(folder, command);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

/** The path of a program; throws naming the package when it is not installed. */
export function requireTool(command: string): string {
  const path = findTool(command);
  if (path) return path;
  const packages = tools.find((tool) => tool.command === command)?.packages ?? [command];
  throw new Error(`${command} is not installed: apt-get install ${packages.join(' ')}`);
}

function missingPackages(): string[] {
  return tools.filter((tool) => !findTool(tool.command)).flatMap((tool) => tool.packages);
}

/** Debian starts a service as it installs it; tests start their own, so this is forbidden meanwhile. */
function withoutServices(install: () => number): number {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return install();
  writeFileSync(policy, '#!/bin/sh\nexit 101\n');
  chmodSync(policy, 0o755);
  try {
    return install();
  } finally {
    rmSync(policy);
  }
}

function installPackages(packages: readonly string[]): number {
  const apt = (...args: string[]): number =>
    spawnSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=600', ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }).status ?? 1;
  const install = (): number => apt('install', '--yes', '--no-install-recommends', ...packages);
  return withoutServices(() => {
    // Package lists may be absent or old; a first failure is worth one update.
    if (install() === 0) return 0;
    apt('update');
    return install();
  });
}

if (import.meta.main) {
  const missing = missingPackages();
  if (missing.length > 0) {
    const maySetUp = process.getuid?.() === 0 && existsSync('/etc/debian_version');
    if (!maySetUp) {
      console.error(`tests need programs that are not installed: sudo apt-get install ${missing.join(' ')}`);
      process.exit(1);
    }
    console.log(`installing ${missing.join(' ')}`);
    if (installPackages(missing) !== 0 || missingPackages().length > 0) {
      console.error(`could not install ${missingPackages().join(' ')}`);
      process.exit(1);
    }
  }
}
