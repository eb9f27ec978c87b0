import { readFile } from 'node:fs/promises';
import {
  loginRequest,
  parseLogin,
  parseUnwrapped,
  parseWrapped,
  unwrapRequest,
  type VaultRequest,
  type VaultSettings,
  wrapRequest,
} from '#contract/vault.ts';
import { type KeyProvider, ProviderError } from './provider.ts';

const timeoutMs = 5000;
/** A token is renewed by a new login when this share of its lease has passed. */
const leaseShare = 0.75;

/** Wraps data keys with the Transit engine of a Vault-compatible server; the wrapping key never leaves it. */
export function openVaultProvider(settings: VaultSettings): KeyProvider {
  let token: { value: string; until: number } | null =
    settings.auth.method === 'token' ? { value: settings.auth.token, until: Number.POSITIVE_INFINITY } : null;

  async function logIn(): Promise<string> {
    const { auth } = settings;
    const jwt = auth.method === 'kubernetes' ? (await readFile(auth.tokenFile, 'utf8')).trim() : null;
    const request = loginRequest(auth, jwt);
    if (request === null) throw new ProviderError('the vault refuses the token');
    const { status, answer } = await post(request, null);
    const login = status === 200 ? parseLogin(answer) : null;
    if (!login) throw new ProviderError(`the vault refuses the login (${status})`);
    const leaseMs =
      login.leaseSeconds > 0 ? login.leaseSeconds * 1000 * leaseShare : Number.POSITIVE_INFINITY;
    token = { value: login.token, until: Date.now() + leaseMs };
    return login.token;
  }

  async function post(
    { path, body }: VaultRequest,
    withToken: string | null,
  ): Promise<{ status: number; answer: unknown }> {
    const response = await fetch(settings.address + path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-vault-request': 'true',
        ...(withToken === null ? {} : { 'x-vault-token': withToken }),
        ...(settings.namespace === null ? {} : { 'x-vault-namespace': settings.namespace }),
      },
      body: JSON.stringify(body),
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((cause: Error) => {
      throw new ProviderError(`the vault at ${settings.address} cannot be reached`, { cause });
    });
    const text = await response.text();
    try {
      return { status: response.status, answer: JSON.parse(text || 'null') };
    } catch {
      return { status: response.status, answer: null };
    }
  }

  async function ask(request: VaultRequest): Promise<unknown> {
    const known = token !== null && Date.now() < token.until ? token.value : await logIn();
    let { status, answer } = await post(request, known);
    if (status === 403 && settings.auth.method !== 'token') {
      ({ status, answer } = await post(request, await logIn()));
    }
    if (status !== 200) throw new ProviderError(`the vault answered ${status} to ${request.path}`);
    return answer;
  }

  return {
    name: 'vault',
    async wrap(_id, dataKey) {
      const wrapped = parseWrapped(await ask(wrapRequest(settings, dataKey)));
      if (wrapped === null) throw new ProviderError('the vault answered without a ciphertext');
      return wrapped;
    },
    async unwrap(id, wrapped) {
      const dataKey = parseUnwrapped(await ask(unwrapRequest(settings, wrapped)));
      if (dataKey === null) throw new ProviderError(`the vault does not open data key ${id}`);
      return dataKey;
    },
  };
}
