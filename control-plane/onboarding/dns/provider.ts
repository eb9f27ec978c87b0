import type { DnsRecord } from './message.ts';

/** Who holds the zone. Every operation may be repeated: doing it again changes nothing. */
export interface DnsProvider {
  readonly kind: 'rfc2136' | 'powerdns' | 'manual' | 'localhost';
  /** Makes these the only A, AAAA and CNAME records of a name. */
  point(name: string, records: readonly DnsRecord[]): Promise<void>;
  /** Removes the A, AAAA and CNAME records of a name. */
  unpoint(name: string): Promise<void>;
  /** Adds a TXT value beside others, for a challenge. */
  addText(name: string, value: string): Promise<void>;
  removeText(name: string, value: string): Promise<void>;
}

/** The zone could not be changed. `retryable`: trying again later may help. */
export class DnsError extends Error {
  readonly retryable: boolean;
  constructor(message: string, retryable: boolean, cause?: unknown) {
    super(message, { cause });
    this.retryable = retryable;
  }
}
