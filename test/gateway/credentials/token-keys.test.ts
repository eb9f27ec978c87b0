import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { compactVerify, decodeProtectedHeader } from 'jose';
import { tokenAlgorithms } from '#contract/issuers.ts';
import { TokenKeys } from '../../../gateway/credentials/token-keys.ts';

interface Group {
  readonly comment: string;
  readonly public?: Jwk | { readonly keys: readonly Jwk[] };
  readonly private: Jwk | { readonly keys: readonly Jwk[] };
  readonly tests: readonly {
    readonly tcId: number;
    readonly comment: string;
    readonly jws?: unknown;
    readonly result: 'valid' | 'invalid';
    readonly flags: readonly string[];
  }[];
}
type Jwk = Readonly<Record<string, unknown>>;

function groupsOf(file: string): Group[] {
  const path = new URL(`../../vectors/wycheproof/${file}`, import.meta.url);
  return (JSON.parse(readFileSync(path, 'utf8')) as { testGroups: Group[] }).testGroups;
}

/** What the gateway does with a token's signature and an issuer's keys, claims aside. */
async function isAccepted(keys: TokenKeys | null, jws: unknown): Promise<boolean> {
  if (keys === null || typeof jws !== 'string') return false;
  try {
    const { alg, kid } = decodeProtectedHeader(jws);
    const key = typeof alg === 'string' ? keys.find(alg, kid ?? null) : null;
    if (key === null) return false;
    await compactVerify(jws, key, { algorithms: [alg!] });
    return true;
  } catch {
    return false;
  }
}

function isSymmetric(group: Group): boolean {
  const given = group.public ?? group.private;
  const keys = 'keys' in given ? (given.keys as readonly Jwk[]) : [given];
  return keys.some(({ kty }) => kty === 'oct');
}

function contradicts(given: Jwk | { readonly keys: readonly Jwk[] }, jws: unknown): boolean {
  if ('keys' in given || given.alg === undefined) return false;
  return typeof jws === 'string' && decodeProtectedHeader(jws).alg !== given.alg;
}

for (const file of ['json_web_signature_test.json', 'json_web_key_test.json', 'json_web_crypto_test.json']) {
  describe(`Wycheproof ${file}`, () => {
    for (const group of groupsOf(file)) {
      const tests = group.tests.filter(({ jws }) => jws !== undefined);
      if (tests.length === 0) continue;
      test(`${group.comment}, cases ${tests[0]!.tcId} to ${tests.at(-1)!.tcId}`, async () => {
        const given = group.public ?? group.private;
        const keys = TokenKeys.parse('keys' in given ? given : { keys: [given] }, tokenAlgorithms);
        for (const { tcId, comment, jws, result } of tests) {
          // Stricter than the vectors ask: shared secrets are never keys of tokens, and a key that states an
          // algorithm verifies no other.
          const expected = result === 'valid' && !isSymmetric(group) && !contradicts(given, jws);
          assert.equal(await isAccepted(keys, jws), expected, `case ${tcId}: ${comment}`);
        }
      });
    }
  });
}
