import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { hashSecret } from '#contract/key-push.ts';
import type { Key } from '#contract/registry.ts';
import { parseCsvLine, splitLines } from '../../../control-plane/keys/import-lines.ts';
import { runTollgate } from '../../support/command-line.ts';
import { onEachEngine, operatorToken, startTestPlane, type TestPlane } from '../../support/control-plane.ts';

const sha256 = 'b'.repeat(64);

onEachEngine('import of keys', (engine) => {
  let plane: TestPlane;
  before(async () => {
    plane = await startTestPlane(engine);
  });
  after(() => plane.stop());

  const importText = (text: string, type = 'application/x-ndjson') =>
    plane.call<{ imported: number; errors: { line: number; pointer: string }[] }>(
      'POST',
      '/admin/v1/keys:import',
      text,
      { headers: { 'content-type': type } },
    );

  test('thousands of lines become keys that gateways get, each once', async () => {
    const follow = await plane.follow();
    await follow.snapshot();
    const lines = Array.from({ length: 12_000 }, (_, i) =>
      JSON.stringify({ key_id: `ak_live_many${i}`, sha256, app: `app${i % 10}`, quota: { burst_limit: 5 } }),
    );
    const reply = await importText(`${lines.join('\n')}\n`);
    assert.deepEqual(reply.body, { imported: 12_000 });
    await follow.until('key/ak_live_many11999', (key) => key !== undefined);
    const keys = [...follow.objects.keys()].filter((what) => what.startsWith('key/ak_live_many'));
    assert.equal(keys.length, 12_000);
    assert.deepEqual((follow.objects.get('key/ak_live_many7') as unknown as Key).quota, { burst: 5 });
    await follow.stop();
    const again = await importText(lines.slice(0, 10).join('\n'));
    assert.deepEqual(again.body, { imported: 10 });
  });

  test('wrong lines are told by number, and their batch is not stored', async () => {
    const reply = await importText(
      [`{"key_id":"ak_test_fine","sha256":"${sha256}"}`, '{', '', '{"key_id":"!","sha256":"x"}'].join('\n'),
    );
    assert.equal(reply.status, 422);
    assert.deepEqual(
      reply.body.errors.map(({ line, pointer }) => [line, pointer]),
      [
        [2, ''],
        [4, '/sha256'],
        [4, '/key_id'],
      ],
    );
    assert.equal((await plane.call('GET', '/admin/v1/keys/ak_test_fine')).status, 404);
  });

  test('the command line imports CSV and hashes secrets', async () => {
    const file = join(plane.dataDir, 'keys.csv');
    const rows = [
      'key_id,secret,name,scopes,daily_quota,expires_at',
      'partner-1,"a secret, with a comma","The ""first""",read write,10,2090-01-01T00:00:00Z',
      'partner-2,another long secret,,,,',
    ];
    writeFileSync(file, rows.join('\r\n'));
    const at = ['--control', plane.url, '--token', operatorToken];
    const done = await runTollgate(['keys', 'import', file, '--json', ...at]);
    assert.equal(done.code, 0, done.output);
    assert.equal((JSON.parse(done.stdout) as { imported: number }).imported, 2);
    const follow = await plane.follow();
    await follow.snapshot();
    const key = follow.objects.get('key/partner-1') as unknown as Key;
    assert.deepEqual(key.secrets, [{ sha256: hashSecret('a secret, with a comma') }]);
    assert.deepEqual(key.scopes, ['read', 'write']);
    assert.equal(key.quota?.daily, 10);
    await follow.stop();
    assert.equal((await plane.call('GET', '/admin/v1/keys/partner-1')).body.name, 'The "first"');
    writeFileSync(file, 'key_id,colour\nx,red\n');
    const refused = await runTollgate(['keys', 'import', file, ...at]);
    assert.equal(refused.code, 1);
    assert.ok(refused.output.includes(`${file}:1: unknown column "colour"`), refused.output);
  });

  test('other media types are refused', async () => {
    assert.equal((await importText('{}', 'application/json')).status, 415);
    assert.equal((await importText('x', 'text/plain')).status, 415);
  });
});

test('lines come out the same however the stream is cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.stringMatching(/^[a-zé€]{0,8}$/), { minLength: 1 }),
      fc.integer({ min: 1, max: 7 }),
      async (lines, size) => {
        const bytes = Buffer.from(lines.join('\n'));
        async function* chunks() {
          for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
        }
        const found: string[] = [];
        for await (const some of splitLines(chunks())) found.push(...some);
        assert.deepEqual(found.filter(Boolean), lines.filter(Boolean));
      },
    ),
  );
});

test('fields of CSV survive quoting', () => {
  const header = ['key_id', 'sha256', 'name'] as const;
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z",; ]{1,20}$/), (name) => {
      const parsed = parseCsvLine(`abc,${sha256},"${name.replaceAll('"', '""')}"`, header);
      assert.ok(parsed.ok);
      assert.equal(parsed.name, name);
    }),
  );
});
