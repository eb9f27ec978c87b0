import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DataKey, Key } from '#contract/registry.ts';
import { mintLocalKey, openSecret, parseLocalKey, unwrapDataKey } from '#contract/sealing.ts';
import { readVaultSettings, type VaultAuth } from '#contract/vault.ts';
import { readLocalKey } from '../../../control-plane/secrets/local-provider.ts';
import { openVaultProvider } from '../../../control-plane/secrets/vault-provider.ts';
import { runTollgate } from '../../support/command-line.ts';
import { onEachEngine, operatorToken, startTestPlane, type TestPlane } from '../../support/control-plane.ts';
import { makeFolder } from '../../support/temporary-folder.ts';
import { startVault, type TestVault, vaultToken } from '../../support/vault.ts';

const dataKey = Buffer.alloc(32, 7);

/** The secrets of a key as a gateway opens them, by a provider's unwrapping. */
async function openKey(
  plane: TestPlane,
  keyId: string,
  unwrap: (dataKey: DataKey) => Promise<Buffer>,
): Promise<(string | null)[]> {
  const follow = await plane.follow();
  await follow.snapshot();
  const key = follow.objects.get(`key/${keyId}`) as unknown as Key;
  const secrets: (string | null)[] = [];
  for (const secret of key.secrets) {
    const wrapped = follow.objects.get(`data_key/${secret.dataKey}`) as unknown as DataKey;
    secrets.push(openSecret(await unwrap(wrapped), keyId, secret.box!));
  }
  await follow.stop();
  return secrets;
}

onEachEngine('secrets', (engine) => {
  let plane: TestPlane;
  let vault: TestVault;
  before(async () => {
    vault = await startVault();
    plane = await startTestPlane(engine);
  });
  after(async () => {
    await plane.stop();
    await vault.stop();
  });

  const local = async ({ id, wrapped }: DataKey) =>
    unwrapDataKey(parseLocalKey(readFileSync(join(plane.dataDir, 'local.key'), 'utf8'))!, id, wrapped)!;
  const settings = () => ({
    address: vault.url,
    namespace: null,
    mount: 'transit',
    key: 'tollgate',
    auth: { method: 'token', token: vaultToken } as VaultAuth,
  });
  const throughVault = ({ id, wrapped }: DataKey) => openVaultProvider(settings()).unwrap(id, wrapped);

  test('a new data key takes all secrets over, and every key still opens', async () => {
    const { keyId, secret } = await plane.makeKey();
    const rotated = await plane.call('POST', `/api/dev/keys/${keyId}/rotate`);
    const before = await plane.call<{ data: { data_key_id: string }[] }>('GET', '/admin/v1/secrets');
    const at = ['--control', plane.url, '--token', operatorToken];
    const done = await runTollgate(['secrets', 'rewrap', '--new-data-key', '--json', ...at]);
    assert.equal(done.code, 0, done.output);
    const reply = JSON.parse(done.stdout) as { new_data_key: string; secrets: number };
    assert.equal(reply.secrets, 1);
    assert.equal(
      before.body.data.some((each) => each.data_key_id === reply.new_data_key),
      false,
    );
    assert.deepEqual(await openKey(plane, keyId, local), [rotated.body.secret, secret]);
    const follow = await plane.follow();
    await follow.snapshot();
    const key = follow.objects.get(`key/${keyId}`) as unknown as Key;
    assert.deepEqual(new Set(key.secrets.map((each) => each.dataKey)), new Set([reply.new_data_key]));
    await follow.stop();
  });

  test('secrets move from the local key to a vault and go on while it is away', async () => {
    const { keyId, secret } = await plane.makeKey();
    plane = await plane.restart({ secrets: { provider: 'vault', localKey: null, vault: settings() } });
    assert.equal((await plane.call('POST', '/admin/v1/secrets/rewrap', {})).body.provider, 'vault');
    assert.deepEqual(await openKey(plane, keyId, throughVault), [secret]);

    vault.rotateKey();
    assert.equal((await plane.call('POST', '/admin/v1/secrets/rewrap', {})).status, 200);
    vault.requireVersion(2);
    assert.deepEqual(await openKey(plane, keyId, throughVault), [secret]);

    vault.failing = 503;
    const rotated = await plane.call('POST', `/api/dev/keys/${keyId}/rotate`);
    assert.equal(rotated.status, 200);

    plane = await plane.restart({ secrets: { provider: 'vault', localKey: null, vault: settings() } });
    const refused = await plane.call('POST', `/api/dev/keys/${keyId}/rotate`);
    assert.equal(refused.status, 503);
    assert.equal(refused.body.code, 'unavailable');
    assert.match(String(refused.body.detail), /key provider/);
    assert.equal((await plane.call('GET', `/api/dev/keys/${keyId}`)).status, 200);
    const bearer = await plane.call(
      'POST',
      `/api/dev/apps/${refused.body.app_id ?? (await appOf(keyId))}/keys`,
      {
        key_type: 'bearer',
      },
    );
    assert.equal(bearer.status, 201);
    vault.failing = null;
    assert.equal((await plane.call('POST', `/api/dev/keys/${keyId}/rotate`)).status, 200);
  });

  async function appOf(keyId: string): Promise<string> {
    return (await plane.call('GET', `/api/dev/keys/${keyId}`)).body.app_id as string;
  }

  test('no secret, token or data key is ever in the log', async () => {
    const { secret } = await plane.makeKey();
    await plane.call('POST', `/api/dev/apps`, { name: 'x' }, { token: 'a-wrong-token-of-someone' });
    const log = plane.log.join('');
    for (const hidden of [secret, operatorToken, 'a-wrong-token-of-someone', vaultToken]) {
      assert.equal(log.includes(hidden), false);
    }
  });
});

test('a vault is logged in to by AppRole and Kubernetes, and again when a token has ended', async () => {
  const vault = await startVault();
  try {
    const tokenFile = join(makeFolder('vault'), 'token');
    writeFileSync(tokenFile, 'service-account\n');
    const base = { address: vault.url, namespace: null, mount: 'transit', key: 'tollgate' };
    const ways: VaultAuth[] = [
      { method: 'approle', mount: 'approle', roleId: 'role', secretId: 'secret' },
      { method: 'kubernetes', mount: 'kubernetes', role: 'tollgate', tokenFile },
    ];
    for (const auth of ways) {
      const provider = openVaultProvider({ ...base, auth });
      const wrapped = await provider.wrap('dk', dataKey);
      assert.match(wrapped, /^vault:v1:/);
      assert.deepEqual(await provider.unwrap('dk', wrapped), dataKey);
      assert.equal(vault.requests.filter((path) => path.endsWith(`${auth.method}/login`)).length, 1);
      vault.revokeTokens();
      assert.deepEqual(await provider.unwrap('dk', wrapped), dataKey);
      assert.equal(vault.requests.filter((path) => path.endsWith(`${auth.method}/login`)).length, 2);
    }
    const wrong = openVaultProvider({ ...base, auth: { method: 'token', token: 'no' } });
    await assert.rejects(wrong.wrap('dk', dataKey), /answered 403/);
    await vault.stop();
    await assert.rejects(wrong.wrap('dk', dataKey), /cannot be reached/);
  } finally {
    await vault.stop().catch(() => {});
  }
});

test('the settings of a vault say what is missing', () => {
  const errors: string[] = [];
  assert.equal(readVaultSettings({}, errors), null);
  assert.equal(readVaultSettings({ VAULT_ADDR: 'http://v' }, errors), null);
  assert.equal(errors.length, 2);
  const found = readVaultSettings(
    { VAULT_ADDR: 'https://v:8200/', VAULT_ROLE_ID: 'a', VAULT_SECRET_ID: 'b' },
    [],
  );
  assert.equal(found?.address, 'https://v:8200');
  assert.equal(found?.auth.method, 'approle');
});

test('a local key file that others can read, or that is damaged, is refused', () => {
  const file = join(makeFolder('key'), 'local.key');
  writeFileSync(file, mintLocalKey(), { mode: 0o644 });
  assert.throws(() => readLocalKey(file), /chmod 600/);
  chmodSync(file, 0o600);
  assert.equal(readLocalKey(file).length, 32);
  writeFileSync(file, 'x');
  assert.throws(() => readLocalKey(file), /does not hold 32 bytes/);
});
