import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Credential } from '#contract/access.ts';
import { mintSecret } from '#contract/keys.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { startProcess } from '../support/processes.ts';
import { readRecipe } from '../support/recipes.ts';
import { makeFolder, removeFolder } from '../support/temporary-folder.ts';
import { requireTool } from '../support/tools.ts';
import { echo, startUpstream, type TestUpstream } from '../support/upstream.ts';

/** What docs/signing.md tells users to copy, run against a gateway. */
const secret = mintSecret('live', randomBytes(32));
let upstream: TestUpstream;
let gateway: TestGateway;
let folder: string;

before(async () => {
  folder = makeFolder('recipes');
  upstream = await startUpstream();
  upstream.handle(echo);
  gateway = await startTestGateway({ routes: [] });
  gateway.keys.put({ id: 'ak_live_recipe', environment: 'live', secrets: [{ plain: secret }] });
});
after(async () => {
  await gateway.stop();
  await upstream.stop();
  removeFolder(folder);
});

async function run(
  accept: Credential,
  command: string,
  args: string[],
  withSecret = secret,
): Promise<string> {
  gateway.route(
    [{ id: 'r', service: 's', path: '/v1/payments', authentication: { accept: [accept] } }],
    [{ id: 's', targets: { live: [{ url: upstream.url }] } }],
  );
  const env = { ...process.env, TOLLGATE_URL: gateway.url, KEY_ID: 'ak_live_recipe', SECRET: withSecret };
  const started = startProcess(command, args, { env });
  await started.ended;
  return started.output();
}

/** The request as the service got it. */
function assertArrived(output: string, target: string): void {
  const line = output.split('\n').find((text) => text.startsWith('{"method"'));
  assert.ok(line, output);
  const seen = JSON.parse(line) as { method: string; target: string; body: string };
  assert.equal(seen.method, 'POST');
  assert.equal(seen.target, target);
  assert.deepEqual(JSON.parse(seen.body), { amount: 1000, currency: 'XOF' });
}

const recipes: [name: string, accept: Credential, command: string, file: string][] = [
  ['body-curl', 'hmac', 'bash', 'body.sh'],
  ['curl', 'signature', 'bash', 'signed.sh'],
  ['python', 'signature', 'python3', 'signed.py'],
  ['php', 'signature', 'php', 'signed.php'],
];

describe('the recipe of docs/signing.md', () => {
  for (const [name, accept, command, file] of recipes) {
    test(`${name} is accepted with the right secret only`, async () => {
      const path = join(folder, file);
      writeFileSync(path, readRecipe('signing.md', name));
      const target = accept === 'hmac' ? '/v1/payments' : '/v1/payments?source=docs';
      assertArrived(await run(accept, requireTool(command), [path]), target);
      const refused = await run(accept, requireTool(command), [path], mintSecret('live', randomBytes(32)));
      assert.match(refused, /credentials_invalid|401/);
    });
  }

  test('javascript is accepted with the right secret only', async () => {
    // Inside the package, so that its own name is found as it is by those who have installed it.
    const path = join(import.meta.dirname, `recipe-${process.pid}.mjs`);
    writeFileSync(path, readRecipe('signing.md', 'javascript'));
    try {
      assertArrived(await run('signature', process.execPath, [path]), '/v1/payments?source=docs');
      const refused = await run('signature', process.execPath, [path], mintSecret('live', randomBytes(32)));
      assert.match(refused, /credentials_invalid/);
    } finally {
      rmSync(path);
    }
  });
});
