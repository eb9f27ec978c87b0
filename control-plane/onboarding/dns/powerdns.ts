import type { DnsRecord } from './message.ts';
import { DnsError, type DnsProvider } from './provider.ts';

export interface PowerdnsOptions {
  /** Base address of the API, without /api/v1. */
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly server: string;
  readonly zone: string;
  readonly ttlSeconds: number;
  readonly timeoutMs: number;
}

interface RecordSet {
  readonly name: string;
  readonly type: string;
  readonly records: readonly { readonly content: string; readonly disabled: boolean }[];
}

/** Changes a zone through the HTTP API of PowerDNS Authoritative. */
export class PowerdnsProvider implements DnsProvider {
  readonly kind = 'powerdns';
  readonly #options: PowerdnsOptions;
  /** TXT values of one name are read and written back, one change after the other. */
  #texts: Promise<void> = Promise.resolve();

  constructor(options: PowerdnsOptions) {
    this.#options = options;
  }

  point(name: string, records: readonly DnsRecord[]): Promise<void> {
    const sets = (['A', 'AAAA', 'CNAME'] as const).map((type) =>
      this.#recordSet(
        name,
        type,
        records.filter((record) => record.type === type).map(formatContent),
        this.#options.ttlSeconds,
      ),
    );
    // Whatever goes is named before what comes, so that a CNAME can take the place of addresses.
    return this.#patch(sets.sort((a, b) => a.changetype.localeCompare(b.changetype)));
  }

  unpoint(name: string): Promise<void> {
    return this.point(name, []);
  }

  addText(name: string, value: string): Promise<void> {
    return this.#changeTexts(name, (values) => [...new Set([...values, JSON.stringify(value)])]);
  }

  removeText(name: string, value: string): Promise<void> {
    return this.#changeTexts(name, (values) => values.filter((entry) => entry !== JSON.stringify(value)));
  }

  #changeTexts(name: string, change: (values: string[]) => string[]): Promise<void> {
    const changed = this.#texts.then(async () => {
      const zone = (await this.#call('GET')) as { rrsets: RecordSet[] };
      const found = zone.rrsets.find((set) => set.type === 'TXT' && set.name === absolute(name));
      const values = change(found?.records.map(({ content }) => content) ?? []);
      await this.#patch([this.#recordSet(name, 'TXT', values, 1)]);
    });
    this.#texts = changed.catch(() => {});
    return changed;
  }

  #recordSet(name: string, type: string, contents: readonly string[], ttl: number) {
    return {
      name: absolute(name),
      type,
      ...(contents.length === 0
        ? { changetype: 'DELETE' }
        : { changetype: 'REPLACE', ttl, records: contents.map((content) => ({ content, disabled: false })) }),
    };
  }

  async #patch(rrsets: readonly object[]): Promise<void> {
    await this.#call('PATCH', { rrsets });
  }

  async #call(method: string, body?: object): Promise<unknown> {
    const { apiUrl, apiKey, server, zone, timeoutMs } = this.#options;
    const path = `/api/v1/servers/${encodeURIComponent(server)}/zones/${encodeURIComponent(absolute(zone))}`;
    let response: Response;
    let text: string;
    try {
      response = await fetch(apiUrl + path, {
        method,
        headers: { 'X-API-Key': apiKey, ...(body ? { 'Content-Type': 'application/json' } : {}) },
        ...(body ? { body: JSON.stringify(body) } : {}),
        signal: AbortSignal.timeout(timeoutMs),
        redirect: 'error',
      });
      text = await response.text();
    } catch (error) {
      throw new DnsError(`PowerDNS at ${apiUrl} does not answer: ${(error as Error).message}`, true, error);
    }
    if (!response.ok) {
      const retryable = response.status >= 500 || response.status === 429;
      throw new DnsError(`PowerDNS answered ${response.status}: ${text.slice(0, 200)}`, retryable);
    }
    return text === '' ? null : JSON.parse(text);
  }
}

function absolute(name: string): string {
  return name.endsWith('.') ? name : `${name}.`;
}

function formatContent({ type, value }: DnsRecord): string {
  return type === 'CNAME' ? absolute(value) : value;
}
