import type { IssuerSettings } from '#contract/issuers.ts';
import { TokenKeys } from './token-keys.ts';

const timeoutMs = 5000;
const maxDocumentBytes = 1 << 20;
const defaultAlgorithms = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];

export interface IssuerKeysOptions {
  readonly now: () => number;
  readonly fetch?: typeof fetch;
  readonly onFailure?: (issuer: string, error: unknown) => void;
}

/**
 * The keys of one issuer: found by discovery (OpenID Connect, else RFC 8414), fetched when first needed, again when
 * they are old, and when a token names a key that is not there, but then no more often than the cool-down. When the
 * issuer cannot be reached the keys at hand stay in use.
 */
export class IssuerKeys {
  readonly settings: IssuerSettings;
  readonly algorithms: readonly string[];
  /** Null until keys have been fetched. Another object when the keys have changed. */
  keys: TokenKeys | null = null;
  readonly #options: IssuerKeysOptions;
  #document = '';
  #jwksUri: string | null;
  #triedAtMs = Number.NEGATIVE_INFINITY;
  #pending: Promise<void> | null = null;

  constructor(settings: IssuerSettings, options: IssuerKeysOptions) {
    this.settings = settings;
    this.algorithms = settings.algorithms ?? defaultAlgorithms;
    this.#options = options;
    this.#jwksUri = settings.jwksUri ?? null;
  }

  /** Whether the keys are due to be fetched again; those at hand may still be used. */
  isStale(nowMs: number): boolean {
    return nowMs - this.#triedAtMs >= (this.settings.keysMaxAgeSeconds ?? 600) * 1000;
  }

  /** Fetches the keys unless that was tried within the cool-down. Never rejects. */
  refresh(nowMs: number): Promise<void> {
    if (this.#pending !== null) return this.#pending;
    if (nowMs - this.#triedAtMs < (this.settings.keysCoolDownSeconds ?? 15) * 1000) return Promise.resolve();
    this.#triedAtMs = nowMs;
    this.#pending = this.#fetchKeys()
      .catch((error: unknown) => this.#options.onFailure?.(this.settings.issuer, error))
      .finally(() => {
        this.#pending = null;
      });
    return this.#pending;
  }

  async #fetchKeys(): Promise<void> {
    const uri = this.#jwksUri ?? (await this.#discover());
    let text: string;
    try {
      text = await this.#get(uri);
    } catch (error) {
      // The address may have moved; discovery tells next time.
      this.#jwksUri = this.settings.jwksUri ?? null;
      throw error;
    }
    this.#jwksUri = uri;
    if (text === this.#document) return;
    const keys = TokenKeys.parse(JSON.parse(text), this.algorithms);
    if (keys === null) throw new Error(`${uri} is not a set of public keys`);
    this.keys = keys;
    this.#document = text;
  }

  async #discover(): Promise<string> {
    const { issuer } = this.settings;
    const base = issuer.endsWith('/') ? issuer.slice(0, -1) : issuer;
    const { origin, pathname } = new URL(base);
    const path = pathname === '/' ? '' : pathname;
    let text: string;
    try {
      text = await this.#get(`${base}/.well-known/openid-configuration`);
    } catch {
      text = await this.#get(`${origin}/.well-known/oauth-authorization-server${path}`);
    }
    const metadata = JSON.parse(text) as { issuer?: unknown; jwks_uri?: unknown };
    if (metadata.issuer !== issuer)
      throw new Error(`its metadata name another issuer, ${String(metadata.issuer)}`);
    const uri = metadata.jwks_uri;
    if (typeof uri !== 'string') throw new Error('its metadata have no jwks_uri');
    if (!uri.startsWith('https://') && !(issuer.startsWith('http://') && uri.startsWith('http://'))) {
      throw new Error(`its jwks_uri is not https: ${uri}`);
    }
    return uri;
  }

  async #get(url: string): Promise<string> {
    const response = await (this.#options.fetch ?? fetch)(url, {
      headers: { accept: 'application/json, application/jwk-set+json' },
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`${url} answered ${response.status}`);
    }
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      size += chunk.length;
      if (size > maxDocumentBytes) throw new Error(`${url} answered more than ${maxDocumentBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }
}
