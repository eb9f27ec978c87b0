import { readFile } from 'node:fs/promises';
import type { VaultSettings } from '#contract/vault.ts';
import { VaultTransit } from '#contract/vault-transit.ts';
import type { KeyProvider } from './key-provider.ts';

const timeoutMs = 5000;

/** The provider whose data keys a Vault-compatible server has wrapped; it may only decrypt. */
export function vaultKeyProvider(settings: VaultSettings): KeyProvider {
  const transit = new VaultTransit(settings, {
    async post(url, headers, body) {
      const signal = AbortSignal.timeout(timeoutMs);
      const response = await fetch(url, { method: 'POST', headers, body, redirect: 'error', signal });
      return { status: response.status, text: await response.text() };
    },
    readFile: (path) => readFile(path, 'utf8'),
    nowMs: Date.now,
  });
  return { name: 'vault', unwrap: ({ wrapped }) => transit.unwrap(wrapped) };
}
