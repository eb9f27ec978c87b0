import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { StreamLine } from '#contract/registry.ts';
import { resolveConfig } from '../../../gateway/config.ts';
import { startGateway } from '../../../gateway/main.ts';
import { runTollgate } from '../../support/command-line.ts';
import {
  declare,
  gatewayToken,
  onEachEngine,
  operatorToken,
  startTestPlane,
  type TestPlane,
} from '../../support/control-plane.ts';
import { eventually } from '../../support/processes.ts';
import { reply, startUpstream, type TestUpstream } from '../../support/upstream.ts';

onEachEngine('purges of the response caches', (engine) => {
  let upstream: TestUpstream;
  let plane: TestPlane;
  before(async () => {
    upstream = await startUpstream((_request, socket) => {
      reply(
        socket,
        200,
        { 'Cache-Control': 'max-age=600', 'Surrogate-Key': 'goods' },
        `#${upstream.requests.length}`,
      );
    });
    plane = await startTestPlane(engine, {
      declaration: declare([
        { kind: 'service', id: 's', object: { id: 's', targets: { live: [{ url: upstream.url }] } } },
        {
          kind: 'route',
          id: 'r',
          object: { id: 'r', service: 's', path: '/', authentication: 'none', cache: {} },
        },
      ]),
    });
  });
  after(async () => {
    await plane.stop();
    await upstream.stop();
  });

  /** The next purge that a stream tells of. */
  async function nextPurge(
    follow: Awaited<ReturnType<TestPlane['follow']>>,
  ): Promise<StreamLine & { type: 'purge' }> {
    for (;;) {
      const line = (await follow.next()) as StreamLine;
      if (line.type === 'purge') return line;
    }
  }

  test('reach every stream, and those that come later within the day', async () => {
    const follow = await plane.follow();
    await follow.snapshot();
    const answered = await plane.call<{ id: number }>('POST', '/admin/v1/cache/purge', {
      prefix: 'http://a.test/x',
      soft: true,
    });
    assert.equal(answered.status, 202);
    const expected = {
      type: 'purge',
      id: answered.body.id,
      purge: { kind: 'prefix', value: 'http://a.test/x', soft: true },
    };
    assert.deepEqual(await nextPurge(follow), expected);
    await follow.stop();
    const later = await plane.follow(`?from=${follow.revision}`);
    let line = await nextPurge(later);
    while (line.id < answered.body.id) line = await nextPurge(later);
    assert.deepEqual(line, expected);
    await later.stop();
  });

  test('only operators may, and only what is understood', async () => {
    assert.equal(
      (await plane.call('POST', '/admin/v1/cache/purge', { all: true }, { token: null })).status,
      401,
    );
    const developer = await plane.tokenOf('dev@example.com');
    assert.equal(
      (await plane.call('POST', '/admin/v1/cache/purge', { all: true }, { token: developer })).status,
      403,
    );
    for (const body of [{}, { url: 'a', key: 'b' }, { key: '' }, { all: false }, { what: 'x' }]) {
      assert.equal(
        (await plane.call('POST', '/admin/v1/cache/purge', body)).status,
        422,
        JSON.stringify(body),
      );
    }
  });

  test('a gateway that follows removes what is meant; the command line asks for it', async () => {
    const resolved = resolveConfig(
      {},
      {},
      {
        ...{ listenHost: '127.0.0.1', listenPort: 0, adminPort: 0, accessLog: 'off', workers: 1 },
        control: { url: plane.url, token: gatewayToken },
        keyFile: join(plane.dataDir, 'local.key'),
      },
    );
    assert.ok(resolved.ok);
    const gateway = await startGateway(resolved.config);
    try {
      await eventually(() => assert.equal(gateway.readiness(), null));
      const get = async (): Promise<string> => (await fetch(`${gateway.url}/thing`)).text();
      const first = await eventually(async () => {
        const text = await get();
        assert.match(text, /^#\d+$/);
        assert.equal(await get(), text);
        return text;
      });
      const ran = await runTollgate([
        'cache',
        'purge',
        '--key',
        'goods',
        '--control',
        plane.url,
        '--token',
        operatorToken,
      ]);
      assert.equal(ran.code, 0, ran.output);
      await eventually(async () => assert.notEqual(await get(), first));
      const unclear = await runTollgate(['cache', 'purge', '--control', plane.url, '--token', operatorToken]);
      assert.equal(unclear.code, 2, unclear.output);
    } finally {
      await gateway.close();
    }
  });
});
