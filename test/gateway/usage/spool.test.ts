import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Spool, type SpoolOptions } from '../../../gateway/usage/spool.ts';

const opened = new Map<string, Spool[]>();

async function folder(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tollgate-spool-'));
  t.after(async () => {
    // Spools write until they are closed.
    for (const spool of opened.get(directory) ?? []) await spool.close();
    opened.delete(directory);
    await rm(directory, { recursive: true, force: true });
  });
  return directory;
}

async function openSpool(options: SpoolOptions): Promise<Spool> {
  const spool = await Spool.open(options);
  opened.set(options.directory, [...(opened.get(options.directory) ?? []), spool]);
  return spool;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);

/** Reads and acknowledges everything. */
async function takeAll(spool: Spool, maxBytes = 1000): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const chunk = await spool.read(maxBytes);
    if (!chunk) return found;
    found.push(...chunk.batches.map(String));
    spool.acknowledge(chunk);
  }
}

test('batches come out in the order they went in, across segments, and leave nothing pending', async (t) => {
  const directory = await folder(t);
  const spool = await openSpool({ directory, segmentBytes: 200 });
  const sent = Array.from({ length: 60 }, (_, i) => `batch ${i} ${'x'.repeat(i)}`);
  for (const text of sent) {
    assert.equal(spool.append(bytes(text), 2), true);
    await spool.flush();
  }
  assert.equal(spool.stats.pendingEvents, 120);
  assert.deepEqual(await takeAll(spool), sent);
  const { pendingEvents, pendingBytes, acknowledgedEvents, droppedEvents } = spool.stats;
  assert.deepEqual(
    { pendingEvents, acknowledgedEvents, droppedEvents },
    {
      pendingEvents: 0,
      acknowledgedEvents: 120,
      droppedEvents: 0,
    },
  );
  assert.equal(pendingBytes, 0);
  assert.equal((await readdir(directory)).filter((name) => name.endsWith('.segment')).length, 1);
});

test('what is not acknowledged is read again, also after a restart; what is, is not', async (t) => {
  const directory = await folder(t);
  const first = await Spool.open({ directory });
  for (const text of ['a', 'b', 'c']) first.append(bytes(text), 1);
  await first.flush();
  const chunk = (await first.read(1))!;
  assert.deepEqual(chunk.batches.map(String), ['a']);
  assert.deepEqual((await first.read(1))!.batches.map(String), ['a']);
  first.acknowledge(chunk);
  await first.close();

  const second = await openSpool({ directory });
  assert.equal(second.stats.pendingEvents, 2);
  second.append(bytes('d'), 1);
  await second.flush();
  assert.deepEqual(await takeAll(second), ['b', 'c', 'd']);
});

test('a batch larger than the reader asked for is read whole', async (t) => {
  const spool = await openSpool({ directory: await folder(t) });
  const large = 'y'.repeat(5000);
  spool.append(bytes('small'), 1);
  spool.append(bytes(large), 1);
  await spool.flush();
  assert.deepEqual(await takeAll(spool, 100), ['small', large]);
});

test('a full spool drops the newest batches and counts their events', async (t) => {
  const spool = await openSpool({ directory: await folder(t), maxBytes: 300, segmentBytes: 100 });
  const kept: string[] = [];
  let dropped = 0;
  for (let i = 0; i < 20; i++) {
    if (spool.append(bytes(`event ${i}`), 3)) kept.push(`event ${i}`);
    else dropped += 3;
    await spool.flush();
  }
  assert.ok(kept.length > 2 && dropped > 0);
  assert.equal(spool.stats.droppedEvents, dropped);
  assert.ok(spool.stats.pendingBytes <= 300);
  assert.deepEqual(await takeAll(spool), kept);
  assert.equal(spool.append(bytes('room again'), 1), true);
});

test('memory is bounded when the disk cannot keep up', async (t) => {
  const spool = await openSpool({ directory: await folder(t), maxBufferedBytes: 100 });
  const results = Array.from({ length: 10 }, () => spool.append(bytes('z'.repeat(20)), 1));
  assert.deepEqual(results, [true, true, ...Array.from({ length: 8 }, () => false)]);
  assert.equal(spool.stats.droppedEvents, 8);
});

test('a record torn by a crash and damage in the middle cost only themselves', async (t) => {
  const directory = await folder(t);
  const first = await Spool.open({ directory });
  for (const text of ['first', 'second', 'third', 'fourth']) {
    first.append(bytes(text), 1);
    await first.flush();
  }
  await first.close();
  const name = (await readdir(directory)).find((entry) => entry.endsWith('.segment'))!;
  const path = join(directory, name);
  const content = await readFile(path);
  content[content.indexOf('second')]! ^= 0xff;
  await writeFile(path, content);
  await truncate(path, content.length - 2);

  const second = await openSpool({ directory });
  second.append(bytes('fifth'), 1);
  await second.flush();
  assert.deepEqual(await takeAll(second), ['first', 'third', 'fifth']);
  assert.ok(second.stats.damagedRecords >= 2);
  assert.equal(second.stats.pendingEvents, 0);
});

test('garbage at the end of a segment does not hide the segments after it', async (t) => {
  const directory = await folder(t);
  const first = await Spool.open({ directory });
  first.append(bytes('kept'), 1);
  await first.close();
  const name = (await readdir(directory)).find((entry) => entry.endsWith('.segment'))!;
  await appendFile(join(directory, name), Buffer.from('TGPR garbage that is no record'));
  const second = await openSpool({ directory });
  second.append(bytes('after'), 1);
  await second.flush();
  assert.deepEqual(await takeAll(second), ['kept', 'after']);
});

test('a directory belongs to one process; the lock of a dead one is taken over', async (t) => {
  const directory = await folder(t);
  const owner = await openSpool({ directory });
  await assert.rejects(Spool.open({ directory }), /is open already/);
  await owner.close();

  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  await writeFile(join(directory, 'lock'), String(child.pid));
  await assert.rejects(Spool.open({ directory }), new RegExp(`process ${child.pid}`));
  child.kill('SIGKILL');
  await once(child, 'exit');
  await (await Spool.open({ directory })).close();
});

test('a process killed with SIGKILL loses nothing that it had written', async (t) => {
  const directory = await folder(t);
  const script = `
    const { Spool } = await import(${JSON.stringify(join(import.meta.dirname, '../../../gateway/usage/spool.ts'))});
    const spool = await Spool.open({ directory: ${JSON.stringify(directory)}, fsync: 'never' });
    for (let i = 0; i < 500; i++) spool.append(Buffer.from('event ' + i), 1);
    await spool.flush();
    process.stdout.write('written');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const spool = await openSpool({ directory });
  assert.equal(spool.stats.pendingEvents, 500);
  assert.equal((await takeAll(spool)).length, 500);
});
