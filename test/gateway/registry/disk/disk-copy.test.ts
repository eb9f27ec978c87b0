import assert from 'node:assert/strict';
import { chmodSync, cpSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Change } from '#contract/registry.ts';
import { DiskCopyError } from '../../../../gateway/registry/disk/frames.ts';
import { NotPersistedError } from '../../../../gateway/registry/persistence.ts';
import { Registry, type RegistryOptions } from '../../../../gateway/registry/registry.ts';
import { startProcess } from '../../../support/processes.ts';
import { makeFolder } from '../../../support/temporary-folder.ts';
import { setKey } from '../support/objects.ts';

const options = (dataDir: string, more: Partial<RegistryOptions> = {}): RegistryOptions => ({
  dataDir,
  providers: [],
  log: () => undefined,
  onDamage: 'refuse',
  ...more,
});

/** A registry of `revisions` deltas; revision n sets key-n and removes key-(n - 5). */
async function makeCopy(revisions: number): Promise<string> {
  const dataDir = makeFolder();
  const registry = await Registry.open(options(dataDir));
  for (let revision = 1; revision <= revisions; revision++) {
    await registry.applyDelta({ revision, changes: changesOf(revision) });
  }
  await registry.close();
  return dataDir;
}

function changesOf(revision: number): Change[] {
  return [
    setKey(`key-${revision}`, { scopes: [`scope-${revision % 3}`] }),
    { kind: 'key', id: `key-${revision - 5}`, object: null },
  ];
}

/** Asserts that the registry is exactly as it was at its revision. */
function assertWhole(registry: Registry, revisions: number): void {
  for (let n = 1; n <= revisions; n++) {
    const present = n <= registry.revision && n > registry.revision - 5;
    const found = registry.keys.find(`key-${n}`)?.key;
    assert.deepEqual(found?.scopes, present ? [`scope-${n % 3}`] : undefined, `key-${n}`);
  }
}

const logOf = (dataDir: string): string => join(dataDir, 'registry', 'registry-1.log');

test('a log cut off anywhere is read up to its last whole revision, and continued there', async () => {
  const source = await makeCopy(12);
  const { size } = statSync(logOf(source));
  let previous = 12;
  for (let length = size; length >= 0; length -= 3) {
    const dataDir = makeFolder();
    cpSync(source, dataDir, { recursive: true });
    truncateSync(logOf(dataDir), length);
    const registry = await Registry.open(options(dataDir));
    assert.ok(registry.revision <= previous);
    previous = registry.revision;
    assertWhole(registry, 12);
    const next = registry.revision + 1;
    await registry.applyDelta({ revision: next, changes: changesOf(next) });
    await registry.close();
    const again = await Registry.open(options(dataDir));
    assert.equal(again.revision, next);
    assertWhole(again, 12);
    await again.close();
  }
  assert.equal(previous, 0);
});

test('a log that ends in zeros, as after a power failure, is read up to them', async () => {
  const dataDir = await makeCopy(6);
  writeFileSync(logOf(dataDir), Buffer.concat([readFileSync(logOf(dataDir)), Buffer.alloc(9000)]));
  const registry = await Registry.open(options(dataDir));
  assert.equal(registry.revision, 6);
  assertWhole(registry, 6);
  await registry.close();
});

test('a changed byte is either noticed or in an unfinished end; it never gives another registry', async () => {
  const source = await makeCopy(10);
  const bytes = readFileSync(logOf(source));
  let refused = 0;
  for (let at = 0; at < bytes.length; at += 5) {
    const dataDir = makeFolder();
    cpSync(source, dataDir, { recursive: true });
    const damaged = Buffer.from(bytes);
    damaged[at]! ^= 1 << (at % 8);
    writeFileSync(logOf(dataDir), damaged);
    try {
      const registry = await Registry.open(options(dataDir));
      assert.equal(registry.revision, 9, 'only the last revision may be taken for unfinished');
      assertWhole(registry, 10);
      await registry.close();
    } catch (error) {
      assert.ok(error instanceof DiskCopyError, String(error));
      assert.match(error.message, /registry-1\.log: (damaged at byte \d+|does not begin as a log)/);
      refused++;
    }
  }
  assert.ok(refused > bytes.length / 5 / 2);
});

test('damage in a snapshot is refused, or set aside where another source has the truth', async () => {
  const dataDir = makeFolder();
  const first = await Registry.open(options(dataDir, { minCompactionBytes: 1 }));
  for (let revision = 1; revision <= 20; revision++) {
    await first.applyDelta({ revision, changes: changesOf(revision) });
  }
  await first.close();
  const name = readdirSync(join(dataDir, 'registry')).find((file) => file.endsWith('.snapshot'));
  assert.ok(name, 'there is a snapshot');
  const path = join(dataDir, 'registry', name);
  const bytes = readFileSync(path);
  for (const damaged of [bytes.subarray(0, -1), Buffer.from(bytes).fill(0x55, 40, 44), Buffer.alloc(0)]) {
    writeFileSync(path, damaged);
    await assert.rejects(Registry.open(options(dataDir)), (error: Error) => {
      assert.ok(error instanceof DiskCopyError);
      assert.match(error.message, new RegExp(`${name}: `));
      assert.ok(!error.message.includes('\n'));
      return true;
    });
  }
  const logged: string[] = [];
  const fresh = await Registry.open(
    options(dataDir, {
      onDamage: 'set_aside',
      log: (level, message, details) => logged.push(`${level} ${message} ${JSON.stringify(details)}`),
    }),
  );
  assert.equal(fresh.revision, 0);
  assert.match(logged.join('\n'), /^error the registry copy is damaged and was set aside.*damaged-\d+/m);
  await fresh.applyDelta({ revision: 3, changes: changesOf(3) });
  await fresh.close();
  const again = await Registry.open(options(dataDir));
  assert.equal(again.revision, 3);
  await again.close();
});

test('a copy of another format is refused with its number', async () => {
  const dataDir = await makeCopy(1);
  const { FrameBuilder } = await import('../../../../gateway/registry/disk/entries.ts');
  const builder = new FrameBuilder();
  builder.head({ format: 99, content: 'log' });
  writeFileSync(logOf(dataDir), builder.take());
  await assert.rejects(
    Registry.open(options(dataDir)),
    /registry-1\.log: is a log of format 99, not a log of format 1/,
  );
});

test('a missing log between others is noticed', async () => {
  const dataDir = await makeCopy(2);
  cpSync(logOf(dataDir), logOf(dataDir).replace('-1', '-3'));
  await assert.rejects(Registry.open(options(dataDir)), /registry-2\.log: is missing/);
});

test('a data directory that cannot be written to is one clear line', async (t) => {
  const dataDir = makeFolder();
  writeFileSync(join(dataDir, 'file'), '');
  await assert.rejects(Registry.open(options(join(dataDir, 'file'))), {
    name: 'DiskCopyError',
    message: `${join(dataDir, 'file', 'registry')}: cannot be written to (ENOTDIR)`,
  });
  if (process.getuid?.() === 0) {
    t.diagnostic('root may write everywhere');
    return;
  }
  chmodSync(dataDir, 0o500);
  await assert.rejects(Registry.open(options(dataDir)), /cannot be written to \(EACCES\)/);
});

test('a data directory that another process uses is refused, and free when that has died', async (t) => {
  const dataDir = await makeCopy(1);
  const script = join(import.meta.dirname, '../support/crashing-registry.ts');
  const child = startProcess(process.execPath, [script, dataDir]);
  t.after(() => child.stop('SIGKILL'));
  await child.waitFor(/^opened 1$/m);
  await assert.rejects(
    Registry.open(options(dataDir)),
    new RegExp(`registry/owner: process ${child.pid} uses this data directory`),
  );
  child.kill('SIGKILL');
  await child.ended;
  await (await Registry.open(options(dataDir))).close();
  assert.ok(!readdirSync(join(dataDir, 'registry')).includes('owner'));
});

/** Lets the next writes fail as on a full disk; returns what ends that. */
async function fillDisk(t: TestContext, dataDir: string): Promise<() => void> {
  const handle = await open(logOf(dataDir), 'r');
  const prototype = Object.getPrototypeOf(handle) as { write: () => Promise<unknown> };
  await handle.close();
  const full = t.mock.method(prototype, 'write', async () => {
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  });
  return () => full.mock.restore();
}

test('an own change that cannot be written is not made', async (t) => {
  const dataDir = makeFolder();
  const registry = await Registry.open(options(dataDir));
  const change = (id: string): Promise<void> => registry.change(() => ({ changes: [setKey(id)] }));
  await change('one');
  const makeRoom = await fillDisk(t, dataDir);
  await assert.rejects(change('two'), NotPersistedError);
  assert.equal(registry.keys.find('two'), undefined);
  assert.equal(registry.revision, 1);
  makeRoom();
  await change('three');
  await registry.close();
  const again = await Registry.open(options(dataDir));
  assert.deepEqual(
    ['one', 'two', 'three'].map((id) => again.keys.find(id) !== undefined),
    [true, false, true],
  );
  await again.close();
});

test('deltas are in force though the disk is full, and the copy is made whole when there is room', async (t) => {
  const dataDir = makeFolder();
  const logged: string[] = [];
  const registry = await Registry.open(
    options(dataDir, { log: (level, message) => logged.push(`${level} ${message}`) }),
  );
  const apply = (revision: number): Promise<void> =>
    registry.applyDelta({ revision, changes: changesOf(revision) });
  await apply(1);
  const makeRoom = await fillDisk(t, dataDir);
  for (let revision = 2; revision <= 8; revision++) {
    await apply(revision);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(registry.keys.find('key-8'));
  assert.ok(logged.includes('error the registry copy cannot be written'));
  makeRoom();
  for (let revision = 9; revision <= 20; revision++) {
    await apply(revision);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await registry.close();
  const again = await Registry.open(options(dataDir));
  assert.equal(again.revision, 20);
  assertWhole(again, 20);
  await again.close();
});
