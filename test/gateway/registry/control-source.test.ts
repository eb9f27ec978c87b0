import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { dataKeyLength, mintLocalKey, parseLocalKey, sealSecret, wrapDataKey } from '#contract/sealing.ts';
import {
  type RunningRegistry,
  type StartRegistryOptions,
  startRegistry,
} from '../../../gateway/registry/start-registry.ts';
import { makeFolder } from '../../support/temporary-folder.ts';
import { PlayedControlPlane, snapshotLines } from './support/control-plane.ts';
import { attachWorker, setKey, setRoute, setService } from './support/objects.ts';

interface Setting {
  readonly plane: PlayedControlPlane;
  readonly logged: { level: string; message: string; details: object }[];
  start(options?: Partial<StartRegistryOptions>): Promise<RunningRegistry>;
}

async function setUp(t: TestContext): Promise<Setting> {
  const plane = await PlayedControlPlane.start();
  const logged: Setting['logged'] = [];
  const running: RunningRegistry[] = [];
  t.after(async () => {
    await Promise.all(running.map((registry) => registry.close()));
    await plane.stop();
  });
  return {
    plane,
    logged,
    start: async (options = {}) => {
      const registry = await startRegistry({
        dataDir: null,
        control: { url: plane.url, token: 'gateway-token' },
        keyFile: null,
        version: '1.2.3',
        log: (level, message, details) => void logged.push({ level, message, details }),
        timing: { minPauseMs: 1, maxPauseMs: 5, refusedPauseMs: 60_000 },
        ...options,
      });
      running.push(registry);
      return registry;
    },
  };
}

const all = (worker: { routings: readonly { routes: ReadonlyMap<string, unknown> }[] }): string[] => [
  ...worker.routings.at(-1)!.routes.keys(),
];

test('a snapshot and the deltas after it are applied and acknowledged once workers have them', async (t) => {
  const { plane, start } = await setUp(t);
  const { registry, readiness } = await start();
  assert.equal(readiness(), 'no registry has come from the control plane yet');
  const worker = attachWorker(registry);
  t.after(worker.detach);
  const stream = await plane.connection();
  assert.equal(stream.from, null);
  stream.send(...snapshotLines(7, [setService, setRoute('a'), setKey('ak_test_one')]));
  assert.deepEqual(await plane.acknowledged(7), {
    gateway: plane.acknowledgements[0]!.gateway,
    revision: 7,
    version: '1.2.3',
  });
  assert.equal(readiness(), null);
  assert.deepEqual(all(worker), ['a']);
  assert.equal(worker.worker.keys.find('ak_test_one')?.key.status, 'active');
  stream.send({
    type: 'delta',
    revision: 9,
    changes: [setRoute('b'), { kind: 'route', id: 'a', object: null }, setKey('ak_test_two')],
  });
  await plane.acknowledged(9);
  assert.deepEqual(all(worker), ['b']);
  assert.equal(worker.routings.length, 3, 'one routing for each revision');
  assert.ok(worker.worker.keys.find('ak_test_two'));
});

test('a revocation is in force on every worker when it is acknowledged, without a message to them', async (t) => {
  const { plane, start } = await setUp(t);
  const { registry } = await start();
  const workers = [attachWorker(registry), attachWorker(registry)];
  for (const { detach } of workers) t.after(detach);
  const stream = await plane.connection();
  const sha256 = createHash('sha256').update('secret').digest('hex');
  stream.send(...snapshotLines(1, [setKey('ak_test_one', { secrets: [{ sha256 }] })]));
  await plane.acknowledged(1);
  for (const { worker } of workers) {
    assert.equal(worker.keys.findBySecretDigest(sha256)?.key.status, 'active');
  }
  stream.send({
    type: 'delta',
    revision: 2,
    changes: [setKey('ak_test_one', { secrets: [{ sha256 }], status: 'revoked' })],
  });
  await plane.acknowledged(2);
  for (const { worker, routings } of workers) {
    assert.equal(worker.keys.findBySecretDigest(sha256)?.key.status, 'revoked');
    assert.equal(worker.keys.find('ak_test_one')?.key.status, 'revoked');
    assert.equal(routings.length, 1);
  }
});

test('an empty registry is a registry', async (t) => {
  const { plane, start } = await setUp(t);
  const { registry, readiness } = await start();
  const first = await plane.connection();
  first.send(...snapshotLines(0, []));
  await plane.acknowledged(0);
  assert.equal(readiness(), null);
  first.send({ type: 'delta', revision: 1, changes: [setKey('ak_test_one')] });
  await plane.acknowledged(1);
  assert.equal(registry.keyCounts.test, 1);
});

test('a lost connection is made again from the own revision', async (t) => {
  const { plane, start } = await setUp(t);
  const { registry } = await start();
  const first = await plane.connection();
  first.send(...snapshotLines(5, [setKey('ak_test_one')]));
  await plane.acknowledged(5);
  first.destroy();
  const second = await plane.connection();
  assert.equal(second.from, 5);
  // Deltas that are known already change nothing.
  second.send({ type: 'delta', revision: 5, changes: [{ kind: 'key', id: 'ak_test_one', object: null }] });
  second.send({ type: 'delta', revision: 6, changes: [setKey('ak_test_two')] });
  await plane.acknowledged(6);
  assert.ok(registry.keys.find('ak_test_one'));
  second.end();
  assert.equal((await plane.connection()).from, 6);
});

test('a connection on which nothing comes is given up', async (t) => {
  const { plane, start } = await setUp(t);
  await start({ timing: { minPauseMs: 1, maxPauseMs: 5, silenceMs: 30 } });
  await plane.connection();
  await plane.connection();
});

test('a control plane that refuses or is away is asked again', async (t) => {
  const { plane, start, logged } = await setUp(t);
  plane.status = 503;
  const { registry } = await start();
  while (plane.requests < 3) await new Promise((resolve) => setImmediate(resolve));
  plane.status = 200;
  (await plane.connection()).send(...snapshotLines(1, []));
  await plane.acknowledged(1);
  assert.equal(registry.revision, 1);
  const warnings = logged.filter(({ level }) => level === 'warn');
  assert.equal(warnings.length, 1, 'one line for one reason');
  assert.match(JSON.stringify(warnings[0]), /status 503: not now/);
});

for (const coding of ['gzip', 'zstd'] as const) {
  test(`a stream in ${coding} is read as it comes`, async (t) => {
    const { plane, start } = await setUp(t);
    plane.coding = coding;
    await start();
    const stream = await plane.connection();
    stream.send(...snapshotLines(1, [setKey('ak_test_one')]));
    await plane.acknowledged(1);
    stream.send({ type: 'delta', revision: 2, changes: [setKey('ak_test_two')] });
    await plane.acknowledged(2);
  });
}

test('lines may be cut anywhere', async (t) => {
  const { plane, start } = await setUp(t);
  const { registry } = await start();
  const stream = await plane.connection();
  const text = snapshotLines(3, [{ ...setKey('ak_test_one', { scopes: ['ü€😀'] }) }])
    .map((line) => `${JSON.stringify(line)}\n`)
    .join('');
  const bytes = Buffer.from(text);
  for (let i = 0; i < bytes.length; i += 7) {
    stream.sendRaw(bytes.subarray(i, i + 7) as unknown as string);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await plane.acknowledged(3);
  assert.deepEqual(registry.keys.find('ak_test_one')?.key.scopes, ['ü€😀']);
});

test('a snapshot with anything unknown is refused as a whole, with every error', async (t) => {
  const { plane, start, logged } = await setUp(t);
  const { registry, health } = await start();
  const first = await plane.connection();
  first.send(...snapshotLines(1, [setKey('ak_test_old')]));
  await plane.acknowledged(1);
  first.send(
    ...snapshotLines(2, [
      setKey('ak_test_new'),
      { kind: 'planet', id: 'mars', object: {} } as never,
      setKey('ak_test_bad', { colour: 'red' } as never),
    ]),
  );
  while (!logged.some(({ message }) => message.includes('refused'))) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(registry.revision, 1);
  assert.ok(registry.keys.find('ak_test_old'));
  assert.equal(registry.keys.find('ak_test_new'), undefined);
  const { refused } = health().registry as { refused: { revision: number; errors: string[] } };
  assert.equal(refused.revision, 2);
  assert.match(refused.errors.join('\n'), /planet mars: \/kind: unknown kind "planet"/);
  assert.match(refused.errors.join('\n'), /ak_test_bad: \/object: unknown member "colour"/);
});

test('a refused delta changes nothing but does not keep revoked keys alive', async (t) => {
  const { plane, start } = await setUp(t);
  const { registry, metrics } = await start({
    timing: { minPauseMs: 1, maxPauseMs: 5, refusedPauseMs: 200 },
  });
  const stream = await plane.connection();
  const keys = ['ak_test_1', 'ak_test_2', 'ak_test_3'];
  stream.send(
    ...snapshotLines(
      1,
      keys.map((id) => setKey(id)),
    ),
  );
  await plane.acknowledged(1);
  stream.send(
    {
      type: 'delta',
      revision: 2,
      changes: [
        setKey('ak_test_1', { status: 'revoked' }),
        setKey('ak_test_new'),
        { kind: 'route', id: 'r', object: { id: 'r', service: 's', path: '/', teleport: true } },
      ],
    },
    { type: 'delta', revision: 3, changes: [{ kind: 'key', id: 'ak_test_2', object: null }, setRoute('x')] },
  );
  while (registry.keys.find('ak_test_2')) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(registry.revision, 1);
  assert.equal(registry.keys.find('ak_test_1')?.key.status, 'revoked');
  assert.equal(registry.keys.find('ak_test_3')?.key.status, 'active');
  assert.equal(registry.keys.find('ak_test_new'), undefined);
  assert.equal(registry.routing.routes.size, 0);
  assert.equal(metrics().find(({ name }) => name === 'tollgate_registry_refused')?.samples[0]?.values[0], 1);
  // It is asked for again, and taken when it can be.
  const again = await plane.connection();
  assert.equal(again.from, 1);
  again.send({ type: 'delta', revision: 4, changes: [setRoute('x'), setKey('ak_test_new')] });
  await plane.acknowledged(4);
  assert.ok(registry.keys.find('ak_test_new'));
  assert.equal(metrics().find(({ name }) => name === 'tollgate_registry_refused')?.samples[0]?.values[0], 0);
});

test('routing that the gateway cannot compile is refused before any of it is in force', async (t) => {
  const { plane, start, logged } = await setUp(t);
  const { registry } = await start({
    checkRouting: ({ routes }) =>
      [...routes.values()]
        .filter(({ policies }) => policies?.length)
        .map(({ id }) => `route ${id}: no policy`),
  });
  const stream = await plane.connection();
  stream.send(...snapshotLines(1, [setService]));
  await plane.acknowledged(1);
  stream.send({
    type: 'delta',
    revision: 2,
    changes: [setRoute('a', { policies: [{ name: 'unknown' }] }), setKey('ak_test_new')],
  });
  while (!logged.some(({ message }) => message.includes('refused'))) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(registry.routing.routes.size, 0);
  assert.equal(registry.keys.find('ak_test_new'), undefined);
});

test('a snapshot replaces what there was, and a worker started later has all of it', async (t) => {
  const { plane, start } = await setUp(t);
  const { registry } = await start();
  const early = attachWorker(registry);
  t.after(early.detach);
  const stream = await plane.connection();
  stream.send(...snapshotLines(10, [setService, setRoute('a'), setKey('ak_test_1'), setKey('ak_test_2')]));
  await plane.acknowledged(10);
  stream.send(...snapshotLines(4, [setService, setRoute('b'), setKey('ak_test_2', { status: 'revoked' })]));
  await plane.acknowledged(4);
  const late = attachWorker(registry);
  t.after(late.detach);
  for (const worker of [early, late]) {
    assert.deepEqual(all(worker), ['b']);
    assert.equal(worker.worker.keys.find('ak_test_1'), undefined);
    assert.equal(worker.worker.keys.find('ak_test_2')?.key.status, 'revoked');
  }
});

test('a worker that cannot put routing in force reports it and goes on with later ones', async (t) => {
  const { plane, start, logged } = await setUp(t);
  const { registry } = await start();
  const worker = attachWorker(registry);
  t.after(worker.detach);
  const stream = await plane.connection();
  worker.fail = true;
  stream.send(...snapshotLines(1, [setService, setRoute('a')]));
  await plane.acknowledged(1);
  assert.match(JSON.stringify(logged), /does not compile/);
  stream.send({ type: 'delta', revision: 2, changes: [setRoute('b')] });
  await plane.acknowledged(2);
  assert.deepEqual(all(worker), ['a', 'b']);
});

test('a restarted gateway serves from disk while the control plane is away', async (t) => {
  const { plane, start } = await setUp(t);
  const dataDir = makeFolder();
  const keyFile = join(dataDir, 'local.key');
  const text = mintLocalKey();
  await writeFile(keyFile, text);
  const dataKey = Buffer.alloc(dataKeyLength, 9);
  const id = 'ak_live_sealed';
  const first = await start({ dataDir, keyFile });
  const stream = await plane.connection();
  stream.send(
    ...snapshotLines(3, [
      setService,
      setRoute('a'),
      { kind: 'plan', id: 'gold', object: { id: 'gold', limits: [] } },
      { kind: 'app', id: 'app_1', object: { id: 'app_1', account: 'acc', name: 'Shop', plan: 'gold' } },
      {
        kind: 'data_key',
        id: 'dk_1',
        object: {
          id: 'dk_1',
          provider: 'local',
          wrapped: wrapDataKey(parseLocalKey(text)!, 'dk_1', dataKey),
        },
      },
      setKey(id, {
        kind: 'api_key',
        app: 'app_1',
        secrets: [{ dataKey: 'dk_1', box: sealSecret(dataKey, id, 'sk_live_secret') }],
      }),
    ]),
  );
  await plane.acknowledged(3);
  stream.send({ type: 'delta', revision: 4, changes: [setKey('ak_test_more'), setRoute('b')] });
  await plane.acknowledged(4);
  const gateway = plane.acknowledgements[0]!.gateway;
  await first.close();
  await plane.stop();
  const files = readdirSync(join(dataDir, 'registry')).map((name) => join(dataDir, 'registry', name));
  assert.ok(files.length > 0);
  for (const file of files) {
    const bytes = readFileSync(file);
    assert.ok(!bytes.includes('sk_live_secret') && !bytes.includes(dataKey), 'secrets only as ciphertext');
  }

  const second = await start({ dataDir, keyFile });
  assert.equal(second.registry.revision, 4);
  assert.equal(second.readiness(), null);
  const worker = attachWorker(second.registry);
  t.after(worker.detach);
  assert.deepEqual(all(worker), ['a', 'b']);
  const known = worker.worker.keys.find(id)!;
  assert.equal(known.app?.name, 'Shop');
  assert.equal(known.plan?.id, 'gold');
  assert.deepEqual(worker.worker.keys.secretsOf(known, 0), ['sk_live_secret']);
  assert.ok(worker.worker.keys.find('ak_test_more'));
  assert.ok(gateway.length > 8);
});

test('data keys whose provider is away leave other keys alone and are opened when it is back', async (t) => {
  const { plane, start, logged } = await setUp(t);
  const keyFile = join(makeFolder(), 'local.key');
  const text = mintLocalKey();
  await writeFile(`${keyFile}.away`, text);
  const dataKey = Buffer.alloc(dataKeyLength, 9);
  const wrapped = wrapDataKey(parseLocalKey(text)!, 'dk_1', dataKey);
  const { registry, readiness } = await start({ keyFile });
  const stream = await plane.connection();
  const id = 'ak_live_sealed';
  const box = sealSecret(dataKey, id, 'sk_live_secret');
  stream.send(
    ...snapshotLines(1, [
      { kind: 'data_key', id: 'dk_1', object: { id: 'dk_1', provider: 'local', wrapped } },
      setKey(id, { kind: 'api_key', secrets: [{ dataKey: 'dk_1', box }] }),
      setKey('ak_test_other'),
    ]),
  );
  await plane.acknowledged(1);
  assert.equal(registry.unopenedDataKeys, 1);
  assert.match(readiness()!, /no data key can be opened/);
  assert.deepEqual(registry.keys.secretsOf(registry.keys.find(id)!, 0), []);
  assert.ok(registry.keys.find('ak_test_other'));
  assert.match(JSON.stringify(logged), /local.key: cannot be read \(ENOENT\)/);
  await rename(`${keyFile}.away`, keyFile);
  // A change of the data key is another occasion beside the periodic one.
  stream.send({
    type: 'delta',
    revision: 2,
    changes: [{ kind: 'data_key', id: 'dk_1', object: { id: 'dk_1', provider: 'local', wrapped } }],
  });
  await plane.acknowledged(2);
  assert.deepEqual(registry.keys.secretsOf(registry.keys.find(id)!, 0), ['sk_live_secret']);
  assert.equal(registry.unopenedDataKeys, 0);
  assert.equal(readiness(), null);
});
