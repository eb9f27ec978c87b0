import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Change } from '#contract/registry.ts';
import { resolveConfig } from '../../../gateway/config.ts';
import { startGateway } from '../../../gateway/main.ts';
import { makeFolder, removeFolder } from '../../support/temporary-folder.ts';

test('a running gateway takes a changed policy file over, and refuses routes that name no policy', async (t) => {
  const folder = makeFolder('policies');
  t.after(() => removeFolder(folder));
  const file = join(folder, 'greet.ts');
  const api = join(import.meta.dirname, '../../../gateway/policies/policy.ts');
  const write = (status: string): void =>
    writeFileSync(
      file,
      `import { answered, definePolicy, Type } from ${JSON.stringify(api)};

export default definePolicy({
  name: 'greet',
  place: 'before_authentication',
  schema: Type.Object({ name: Type.String() }),
  create: ({ name }) => (exchange) => {
    exchange.answer(${status}, [], Buffer.from('hello ' + name));
    return answered;
  },
});
`,
    );
  write('200');
  const resolved = resolveConfig(
    { policies: ['./greet.ts'], accessLog: 'off' },
    {},
    { listenHost: '127.0.0.1', listenPort: 0, adminPort: 0, workers: 1, configFolder: folder },
  );
  assert.ok(resolved.ok);
  const routes = (policy: string, config: object): Change[] => [
    { kind: 'service', id: 's', object: { id: 's', targets: { live: [{ url: 'http://127.0.0.1:1' }] } } },
    {
      kind: 'route',
      id: 'r',
      object: { id: 'r', service: 's', path: '/', policies: [{ name: policy, config }] },
    },
  ];
  const gateway = await startGateway(resolved.config, routes('greet', { name: 'you' }));
  t.after(() => gateway.close());
  const send = async (): Promise<string> => {
    const response = await fetch(gateway.url);
    return `${response.status} ${await response.text()}`;
  };
  assert.equal(await send(), '200 hello you');
  await gateway.declare(routes('greet', { name: 'all' }));
  assert.equal(await send(), '200 hello all');
  await assert.rejects(gateway.declare(routes('absent', {})), /no policy "absent"/);
  await assert.rejects(gateway.declare(routes('greet', {})), /missing member "name"/);
  assert.equal(await send(), '200 hello all');
  write('201');
  for (let n = 0; n < 200 && !(await send()).startsWith('201'); n++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(await send(), '201 hello all');
});
