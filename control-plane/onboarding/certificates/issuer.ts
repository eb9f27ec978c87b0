import type { CertificateWithKey } from './local-authority.ts';

/** Who makes certificates. */
export interface CertificateIssuer {
  readonly kind: 'acme' | 'self-signed';
  /** A chain (leaf first) and its key for these names. Rejects with an {@link IssueError}. */
  issue(names: readonly string[]): Promise<CertificateWithKey>;
}

/** A certificate could not be had. `retryAfterMs`: the authority asks to wait that long. */
export class IssueError extends Error {
  readonly retryAfterMs: number | null;
  constructor(message: string, retryAfterMs: number | null, cause?: unknown) {
    super(message, { cause });
    this.retryAfterMs = retryAfterMs;
  }
}
