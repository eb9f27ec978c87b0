import { setTimeout as wait } from 'node:timers/promises';
import type { Database } from '../../database/database.ts';
import type { SecretBox } from '../../secrets/secret-box.ts';
import type { DnsProvider } from '../dns/provider.ts';
import type { Onboarding } from '../settings.ts';
import type { CertificateIssuer } from './issuer.ts';
import type { CertificateWithKey } from './local-authority.ts';

const selfSignedDays = 90;

export interface IssuerParts {
  readonly db: Database;
  readonly secrets: SecretBox;
  readonly dns: DnsProvider;
  readonly onboarding: Onboarding;
  readonly now: () => Date;
}

/** The issuer that the settings name (its library is loaded only now), with the account or authority that all instances share. */
export async function makeIssuer(parts: IssuerParts): Promise<CertificateIssuer> {
  const { tls, baseDomain } = parts.onboarding;
  if (tls.issuer === 'self-signed') {
    const authority = await provideAuthority(parts);
    const { issueFromAuthority } = await import('./local-authority.ts');
    return {
      kind: 'self-signed',
      issue: (names) => issueFromAuthority(authority, names, selfSignedDays, parts.now().getTime()),
    };
  }
  const { AcmeIssuer, makeAccountKey } = await import('./acme.ts');
  const name = `acme:${tls.directoryUrl}`;
  const { key } = await provideSecret(parts, name, async () => ({
    key: await makeAccountKey(),
    certificate: null,
  }));
  const settleMs = (tls.settleSeconds ?? 0) * 1000;
  return new AcmeIssuer({
    directoryUrl: tls.directoryUrl,
    email: tls.email ?? null,
    caFile: tls.caFile ?? null,
    accountKey: key,
    dns: parts.dns,
    challengeName: (domain) => challengeName(domain, baseDomain),
    settle: async () => {
      if (settleMs > 0) await wait(settleMs);
    },
  });
}

/**
 * Where the challenge of a name is written. Domains of tenants delegate theirs by
 * `_acme-challenge.DOMAIN CNAME DOMAIN._challenges.BASE`.
 */
export function challengeName(domain: string, baseDomain: string): string {
  if (domain === baseDomain || domain.endsWith(`.${baseDomain}`)) return `_acme-challenge.${domain}`;
  return `${domain}._challenges.${baseDomain}`;
}

/** The local authority, made on first use; its root is what clients are told to trust. */
export async function provideAuthority(parts: IssuerParts): Promise<CertificateWithKey> {
  const { key, certificate } = await provideSecret(parts, 'authority', async () => {
    const { makeAuthority } = await import('./local-authority.ts');
    return makeAuthority('Tollgate local authority', parts.now().getTime());
  });
  return { key, certificate: certificate! };
}

interface StoredSecret {
  readonly key: string;
  readonly certificate: string | null;
}

/** A secret that is made once for all instances; the first one to store it wins. */
async function provideSecret(
  { db, secrets }: IssuerParts,
  name: string,
  make: () => Promise<StoredSecret>,
): Promise<StoredSecret> {
  const subject = `onboarding:${name}`;
  const read = async (): Promise<StoredSecret | null> => {
    const [row] = await db.query<{ data_key: string; box: string; certificate: string | null }>(
      'SELECT data_key, box, certificate FROM onboarding_secrets WHERE name = $1',
      [name],
    );
    if (!row) return null;
    const key = await secrets.open(subject, row.data_key, row.box);
    if (key === null) throw new Error(`the secret ${name} of the onboarding cannot be opened`);
    return { key, certificate: row.certificate };
  };
  const known = await read();
  if (known) return known;
  const made = await make();
  const sealed = await secrets.seal(subject, made.key);
  await db.execute(
    `INSERT INTO onboarding_secrets (name, data_key, box, certificate) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
    [name, sealed.dataKey, sealed.box, made.certificate],
  );
  return (await read())!;
}
