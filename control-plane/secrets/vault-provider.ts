import { readFile } from 'node:fs/promises';
import type { VaultSettings } from '#contract/vault.ts';
import { VaultTransit } from '#contract/vault-transit.ts';
import type { KeyProvider } from './provider.ts';

const timeoutMs = 5000;

/** Wraps data keys with the Transit engine of a Vault-compatible server; the wrapping key never leaves it. */
export function openVaultProvider(settings: VaultSettings): KeyProvider {
  const transit = new VaultTransit(settings, {
    async post(url, headers, body) {
      const signal = AbortSignal.timeout(timeoutMs);
      const response = await fetch(url, { method: 'POST', headers, body, redirect: 'error', signal });
      return { status: response.status, text: await response.text() };
    },
    readFile: (path) => readFile(path, 'utf8'),
    nowMs: Date.now,
  });
  return {
    name: 'vault',
    wrap: (_id, dataKey) => transit.wrap(dataKey),
    unwrap: (_id, wrapped) => transit.unwrap(wrapped),
  };
}
