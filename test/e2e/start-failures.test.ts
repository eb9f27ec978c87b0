import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTollgate } from '../support/command-line.ts';
import { findFreePort } from '../support/processes.ts';
import { makeFolder } from '../support/temporary-folder.ts';

const anyPorts = ['gateway', 'admin', 'control', 'sandbox'].flatMap((name) => [`--${name}-port`, '0']);

async function failStart(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const started = startTollgate(['start', ...args], { env: { TOLLGATE_WORKERS: '1', ...env } });
  const { code } = await started.ended;
  assert.equal(code, 1, started.output());
  return started
    .output()
    .split('\n')
    .filter((line) => line.startsWith('tollgate: '))
    .join('\n');
}

test('a port in use is one clear line and exit code 1, whichever plane it belongs to', async () => {
  const blocker = createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  const { port } = blocker.address() as { port: number };
  for (const [flag, plane] of [
    ['--sandbox-port', 'sandbox'],
    ['--gateway-port', 'gateway'],
    ['--admin-port', 'gateway'],
    ['--control-port', 'control plane'],
  ]) {
    const said = await failStart(['--data-dir', makeFolder('data'), ...anyPorts, flag!, String(port)]);
    assert.match(said, new RegExp(`^tollgate: ${plane}: .*port ${port}\\b.* in use$`));
  }
  blocker.close();
});

test('a data folder that cannot be written is one clear line', async () => {
  const file = join(makeFolder('data'), 'file');
  writeFileSync(file, '');
  const said = await failStart(['--data-dir', join(file, 'below'), ...anyPorts]);
  assert.match(said, /^tollgate: the data folder \S+\/below is not writable \(ENOTDIR\)$/);
});

test('a wrong DATABASE_URL is one clear line that does not show the password', async () => {
  const port = await findFreePort();
  const said = await failStart(['--data-dir', makeFolder('data'), ...anyPorts], {
    DATABASE_URL: `postgres://someone:hidden@127.0.0.1:${port}/nothing`,
  });
  assert.match(said, /^tollgate: control plane: .*DATABASE_URL.*ECONNREFUSED.*$/);
  assert.doesNotMatch(said, /hidden|\n/);
});

test('all errors of the configuration come at once, each with file, line and path', async () => {
  const file = join(makeFolder('config'), 'tollgate.yaml');
  writeFileSync(
    file,
    `gateway:
  workers: none
services:
  - id: payments
    targets:
      test: [{ url: not-a-url }]
routes:
  - id: one
    servce: payments
    path: no-slash
  - id: two
    service: absent
    path: /two
`,
  );
  const said = await failStart(['--data-dir', makeFolder('data'), ...anyPorts, '--config', file]);
  const places = said.split('\n').map((line) => /:(\d+): ([\w.]+):/.exec(line)?.slice(1).join(' '));
  for (const place of ['6 services.0.targets.test.0.url', '10 routes.0.path', '12 routes.1.service']) {
    assert.ok(places.includes(place), `${place} in\n${said}`);
  }
  assert.ok(said.includes(file));
});

test('a configuration that needs a variable names it', async () => {
  const file = join(makeFolder('config'), 'tollgate.yaml');
  writeFileSync(
    file,
    "services:\n  - id: payments\n    targets:\n      live: [{ url: '${PAYMENTS_URL}' }]\n",
  );
  const said = await failStart(['--data-dir', makeFolder('data'), ...anyPorts, '--config', file]);
  assert.match(said, /:4: services\.0\.targets\.live\.0\.url: .*PAYMENTS_URL/);
});

test('an unknown flag, a wrong value and an unknown command are errors of usage', async () => {
  for (const [args, expected] of [
    [['start', '--nope'], /--nope/],
    [['start', '--gateway-port', '70000'], /--gateway-port must be a port/],
    [['frobnicate'], /unknown command "frobnicate"/],
    [['keys', 'create', '--env', 'test'], /--app is required/],
    [['keys', 'create', '--app', 'a', '--env', 'staging'], /--env must be test or live/],
    [['keys', 'frobnicate'], /unknown command "keys frobnicate"/],
  ] as const) {
    const started = startTollgate(args);
    assert.equal((await started.ended).code, 2);
    assert.match(started.output(), expected);
    assert.equal(started.output().trim().split('\n').length, 1);
  }
});

test('--help works everywhere', async () => {
  const overview = startTollgate(['--help']);
  assert.equal((await overview.ended).code, 0);
  const commands = [...overview.stdout().matchAll(/^ {2}((?:[a-z-]+ )?[a-z-]+) {2,}\S/gm)].map(
    (match) => match[1]!,
  );
  assert.ok(commands.includes('start') && commands.includes('keys create'));
  for (const command of [...commands, 'keys']) {
    const help = startTollgate([...command.split(' '), '--help']);
    assert.equal((await help.ended).code, 0, command);
    assert.match(help.stdout(), /Usage: tollgate/);
  }
});
