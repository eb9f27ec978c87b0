import { parseKeyPush } from '#contract/key-push.ts';
import type { Change } from '#contract/registry.ts';

export type ApiKeysResult =
  | { readonly ok: true; readonly changes: readonly Change[] }
  | { readonly ok: false; readonly errors: readonly string[] };

/**
 * Parses the environment variable `API_KEYS`: entries `key_id:sha256hex[:environment[:expiry]]` separated by commas or
 * white space; the expiry is RFC 3339 or seconds since the epoch. Every error is reported, none repeats a hash.
 */
export function parseApiKeys(text: string): ApiKeysResult {
  const changes = new Map<string, Change>();
  const errors: string[] = [];
  const entries = text.split(/[\s,]+/).filter((entry) => entry !== '');
  entries.forEach((entry, index) => {
    const [keyId = '', sha256 = '', environment, ...rest] = entry.split(':');
    const place = `API_KEYS: entry ${index + 1} (${JSON.stringify(keyId.slice(0, 40))})`;
    const expiry = parseExpiry(rest.join(':'));
    if (expiry === null) {
      errors.push(`${place}: the expiry must be RFC 3339 or seconds since the epoch`);
      return;
    }
    if (!/^[0-9a-f]{64}$/i.test(sha256)) {
      errors.push(`${place}: the hash must be the SHA-256 of the secret, 64 hexadecimal digits`);
      return;
    }
    const parsed = parseKeyPush(keyId, {
      sha256: sha256.toLowerCase(),
      ...(environment ? { environment } : {}),
      ...(expiry === '' ? {} : { expires_at: expiry }),
    });
    if (!parsed.ok) {
      for (const { pointer, detail } of parsed.errors) errors.push(`${place}: ${pointer.slice(1)} ${detail}`);
    } else if (changes.has(keyId)) errors.push(`${place}: the key is listed twice`);
    else changes.set(keyId, { kind: 'key', id: keyId, object: parsed.value });
  });
  return errors.length > 0 ? { ok: false, errors } : { ok: true, changes: [...changes.values()] };
}

/** As RFC 3339; empty when there is none, null when it is neither form. */
function parseExpiry(text: string): string | null {
  if (text === '') return '';
  const ms = /^\d{1,11}$/.test(text)
    ? Number(text) * 1000
    : /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i.test(text)
      ? Date.parse(text)
      : Number.NaN;
  return Number.isNaN(ms) ? null : new Date(ms).toISOString();
}
