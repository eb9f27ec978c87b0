import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import acme from 'acme-client';
import type { DnsProvider } from '../dns/provider.ts';
import { type CertificateIssuer, IssueError } from './issuer.ts';
import type { CertificateWithKey } from './local-authority.ts';

export interface AcmeOptions {
  readonly directoryUrl: string;
  readonly email: string | null;
  /** PEM file of a root to trust for the directory itself; null: the system's. */
  readonly caFile: string | null;
  /** The account's private key, PEM. */
  readonly accountKey: string;
  readonly dns: DnsProvider;
  /**
   * The name that the challenge of a domain is written to: `_acme-challenge.` and the domain, or where that is
   * delegated to by a CNAME.
   */
  readonly challengeName: (domain: string) => string;
  /** Waits until the world can see a challenge. */
  readonly settle: () => Promise<void>;
}

/** Gets certificates from an ACME authority (RFC 8555) by DNS-01. */
export class AcmeIssuer implements CertificateIssuer {
  readonly kind = 'acme';
  readonly #options: AcmeOptions;

  constructor(options: AcmeOptions) {
    this.#options = options;
    if (options.caFile !== null) {
      acme.axios.defaults.httpsAgent = new Agent({ ca: readFileSync(options.caFile), keepAlive: true });
    }
  }

  async issue(names: readonly string[]): Promise<CertificateWithKey> {
    const { directoryUrl, email, accountKey, dns, challengeName, settle } = this.#options;
    const client = new acme.Client({
      directoryUrl,
      accountKey,
      backoffAttempts: 20,
      backoffMin: 250,
      backoffMax: 5000,
    });
    const [key, csr] = await acme.crypto.createCsr(
      { commonName: names[0]!, altNames: [...names] },
      await acme.crypto.createPrivateEcdsaKey('P-256'),
    );
    try {
      const certificate = await client.auto({
        csr,
        ...(email === null ? {} : { email }),
        termsOfServiceAgreed: true,
        challengePriority: ['dns-01'],
        // The authority asks the zone's own servers, which this process may not be able to reach.
        skipChallengeVerification: true,
        challengeCreateFn: async (authorization, _challenge, value) => {
          await dns.addText(challengeName(authorization.identifier.value), value);
          await settle();
        },
        challengeRemoveFn: (authorization, _challenge, value) =>
          dns.removeText(challengeName(authorization.identifier.value), value),
      });
      return { certificate, key: key.toString('utf8') };
    } catch (error) {
      throw describeFailure(error, directoryUrl);
    }
  }
}

/** A new account key, PEM. */
export async function makeAccountKey(): Promise<string> {
  return (await acme.crypto.createPrivateEcdsaKey('P-256')).toString('utf8');
}

interface HttpFailure {
  readonly response?: { readonly status?: number; readonly headers?: Readonly<Record<string, unknown>> };
}

function describeFailure(error: unknown, directoryUrl: string): IssueError {
  const { response } = error as HttpFailure;
  const message = error instanceof Error ? error.message : String(error);
  const retryAfter = Number(response?.headers?.['retry-after']);
  const limited = response?.status === 429 || /rateLimited/.test(message);
  const retryAfterMs =
    Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter * 1000 : limited ? 3_600_000 : null;
  return new IssueError(`${new URL(directoryUrl).host}: ${message || 'no answer'}`, retryAfterMs, error);
}
