import {
  loginRequest,
  parseLogin,
  parseUnwrapped,
  parseWrapped,
  unwrapRequest,
  type VaultRequest,
  type VaultSettings,
  wrapRequest,
} from './vault.ts';

/** How a plane reaches the vault. */
export interface VaultTransport {
  /** Sends a JSON body; rejects when there is no answer. */
  post(
    url: string,
    headers: Readonly<Record<string, string>>,
    body: string,
  ): Promise<{ readonly status: number; readonly text: string }>;
  readFile(path: string): Promise<string>;
  nowMs(): number;
}

/** A token is replaced by a new login when this share of its lease has passed. */
const leaseShare = 0.75;

/** Wraps and unwraps data keys through a Transit engine, logging in when needed. Errors say what went wrong. */
export class VaultTransit {
  readonly #settings: VaultSettings;
  readonly #transport: VaultTransport;
  #token: { readonly value: string; readonly untilMs: number } | null;

  constructor(settings: VaultSettings, transport: VaultTransport) {
    this.#settings = settings;
    this.#transport = transport;
    this.#token =
      settings.auth.method === 'token'
        ? { value: settings.auth.token, untilMs: Number.POSITIVE_INFINITY }
        : null;
  }

  async wrap(dataKey: Uint8Array): Promise<string> {
    const wrapped = parseWrapped(await this.#ask(wrapRequest(this.#settings, dataKey)));
    if (wrapped === null) throw new Error('the vault answered without a ciphertext');
    return wrapped;
  }

  async unwrap(wrapped: string): Promise<Buffer> {
    const dataKey = parseUnwrapped(await this.#ask(unwrapRequest(this.#settings, wrapped)));
    if (dataKey === null) throw new Error('the vault answered without a data key');
    return dataKey;
  }

  async #ask(request: VaultRequest): Promise<unknown> {
    const valid = this.#token !== null && this.#transport.nowMs() < this.#token.untilMs;
    let { status, answer } = await this.#post(request, valid ? this.#token!.value : await this.#logIn());
    if (status === 403 && this.#settings.auth.method !== 'token') {
      ({ status, answer } = await this.#post(request, await this.#logIn()));
    }
    if (status !== 200) throw new Error(`the vault answered ${status} to ${request.path}`);
    return answer;
  }

  async #logIn(): Promise<string> {
    const { auth } = this.#settings;
    const jwt = auth.method === 'kubernetes' ? (await this.#transport.readFile(auth.tokenFile)).trim() : null;
    const { status, answer } = await this.#post(loginRequest(auth, jwt)!, null);
    const login = status === 200 ? parseLogin(answer) : null;
    if (!login) throw new Error(`the vault refuses the login (${status})`);
    const leaseMs =
      login.leaseSeconds > 0 ? login.leaseSeconds * 1000 * leaseShare : Number.POSITIVE_INFINITY;
    this.#token = { value: login.token, untilMs: this.#transport.nowMs() + leaseMs };
    return login.token;
  }

  async #post(
    { path, body }: VaultRequest,
    token: string | null,
  ): Promise<{ status: number; answer: unknown }> {
    const { address, namespace } = this.#settings;
    const headers = {
      'content-type': 'application/json',
      'x-vault-request': 'true',
      ...(token === null ? {} : { 'x-vault-token': token }),
      ...(namespace === null ? {} : { 'x-vault-namespace': namespace }),
    };
    const sent = await this.#transport.post(address + path, headers, JSON.stringify(body)).catch((cause) => {
      throw new Error(`the vault at ${address} cannot be reached`, { cause });
    });
    try {
      return { status: sent.status, answer: JSON.parse(sent.text || 'null') };
    } catch {
      return { status: sent.status, answer: null };
    }
  }
}
