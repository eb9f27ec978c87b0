import { join } from 'node:path';
import { parseLocalKey } from '#contract/sealing.ts';
import { readVaultSettings, type VaultSettings } from '#contract/vault.ts';
import { openLocalProvider, readLocalKey } from './local-provider.ts';
import type { KeyProvider } from './provider.ts';
import { openVaultProvider } from './vault-provider.ts';

export interface SecretsConfig {
  /** Wraps data keys from now on. */
  readonly provider: 'local' | 'vault';
  /** 32 bytes in base64; null: `local.key` in the data directory. */
  readonly localKey: string | null;
  readonly vault: VaultSettings | null;
}

export const defaultSecrets: SecretsConfig = { provider: 'local', localKey: null, vault: null };

/** Reads TOLLGATE_KEY_PROVIDER and what the provider needs. */
export function readSecretsConfig(
  env: Readonly<Record<string, string | undefined>>,
  errors: string[],
): SecretsConfig {
  const provider = env.TOLLGATE_KEY_PROVIDER?.trim() || 'local';
  if (provider !== 'local' && provider !== 'vault') {
    errors.push(`TOLLGATE_KEY_PROVIDER must be local or vault, not ${JSON.stringify(provider)}`);
    return defaultSecrets;
  }
  const localKey = env.TOLLGATE_LOCAL_KEY?.trim() || null;
  if (localKey !== null && parseLocalKey(localKey) === null) {
    errors.push('TOLLGATE_LOCAL_KEY must be 32 bytes in base64');
  }
  const vault = provider === 'vault' || env.VAULT_ADDR ? readVaultSettings(env, errors) : null;
  return { provider, localKey, vault };
}

/** The providers that can be had, the one that wraps first: data keys of the others can still be opened. */
export function openProviders(config: SecretsConfig, dataDir: string | null): KeyProvider[] {
  const providers: KeyProvider[] = [];
  if (config.vault) providers.push(openVaultProvider(config.vault));
  if (config.localKey !== null) providers.push(openLocalProvider(parseLocalKey(config.localKey)!));
  else if (config.provider === 'local' || dataDir !== null) {
    providers.push(openLocalProvider(readLocalKey(join(dataDir ?? '.tollgate', 'local.key'))));
  }
  return providers.sort((a, b) => Number(b.name === config.provider) - Number(a.name === config.provider));
}
