import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openVaultProvider } from '../../../control-plane/secrets/vault-provider.ts';
import { vaultKeyProvider } from '../../../gateway/registry/vault-key-provider.ts';
import { startVault, vaultToken } from '../../support/vault.ts';

test('a gateway opens the data keys that the control plane had wrapped by a vault', async () => {
  const vault = await startVault();
  try {
    const settings = {
      address: vault.url,
      namespace: null,
      mount: 'transit',
      key: 'tollgate',
      auth: { method: 'token' as const, token: vaultToken },
    };
    const dataKey = Buffer.alloc(32, 5);
    const wrapped = await openVaultProvider(settings).wrap('dk', dataKey);
    const provider = vaultKeyProvider(settings);
    assert.equal(provider.name, 'vault');
    assert.deepEqual(await provider.unwrap({ id: 'dk', provider: 'vault', wrapped }), dataKey);
    vault.failing = 503;
    await assert.rejects(provider.unwrap({ id: 'dk', provider: 'vault', wrapped }), /answered 503/);
  } finally {
    await vault.stop();
  }
});
