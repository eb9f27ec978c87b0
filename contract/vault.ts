/**
 * The HTTP contract with a Vault-compatible Transit engine, which wraps data keys: what is asked and how answers are
 * read. The requests themselves are made by each plane.
 */

export type VaultAuth =
  | { readonly method: 'token'; readonly token: string }
  | { readonly method: 'approle'; readonly mount: string; readonly roleId: string; readonly secretId: string }
  /** The service account's token is read from `tokenFile` at each login. */
  | {
      readonly method: 'kubernetes';
      readonly mount: string;
      readonly role: string;
      readonly tokenFile: string;
    };

export interface VaultSettings {
  /** Without a slash at the end. */
  readonly address: string;
  readonly namespace: string | null;
  /** Where the Transit engine is mounted, and its key. */
  readonly mount: string;
  readonly key: string;
  readonly auth: VaultAuth;
}

export interface VaultRequest {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

const serviceAccountToken = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/** Reads the settings from the environment; adds what is wrong to `errors`. */
export function readVaultSettings(
  env: Readonly<Record<string, string | undefined>>,
  errors: string[],
): VaultSettings | null {
  const text = (name: string): string | null => env[name]?.trim() || null;
  const address = text('VAULT_ADDR');
  if (address === null || !/^https?:\/\/[^/?#\s]+\/*$/.test(address)) {
    errors.push('VAULT_ADDR must be the http or https address of the vault');
    return null;
  }
  const auth = readAuth(text);
  if (auth === null) {
    errors.push('set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID, or VAULT_KUBERNETES_ROLE');
    return null;
  }
  return {
    address: address.replace(/\/+$/, ''),
    namespace: text('VAULT_NAMESPACE'),
    mount: text('VAULT_TRANSIT_MOUNT') ?? 'transit',
    key: text('VAULT_TRANSIT_KEY') ?? 'tollgate',
    auth,
  };
}

function readAuth(text: (name: string) => string | null): VaultAuth | null {
  const mount = text('VAULT_AUTH_MOUNT');
  const token = text('VAULT_TOKEN');
  if (token !== null) return { method: 'token', token };
  const [roleId, secretId] = [text('VAULT_ROLE_ID'), text('VAULT_SECRET_ID')];
  if (roleId !== null && secretId !== null) {
    return { method: 'approle', mount: mount ?? 'approle', roleId, secretId };
  }
  const role = text('VAULT_KUBERNETES_ROLE');
  if (role === null) return null;
  const tokenFile = text('VAULT_KUBERNETES_TOKEN_FILE') ?? serviceAccountToken;
  return { method: 'kubernetes', mount: mount ?? 'kubernetes', role, tokenFile };
}

/** The login of a method that has one; `jwt` is the service account's token. */
export function loginRequest(auth: VaultAuth, jwt: string | null): VaultRequest | null {
  if (auth.method === 'token') return null;
  const path = `/v1/auth/${auth.mount}/login`;
  if (auth.method === 'approle') return { path, body: { role_id: auth.roleId, secret_id: auth.secretId } };
  return { path, body: { role: auth.role, jwt: jwt ?? '' } };
}

/** The token of a login's answer and for how long it holds, or null. */
export function parseLogin(answer: unknown): { token: string; leaseSeconds: number } | null {
  const auth = (answer as { auth?: { client_token?: unknown; lease_duration?: unknown } } | null)?.auth;
  if (typeof auth?.client_token !== 'string') return null;
  return {
    token: auth.client_token,
    leaseSeconds: typeof auth.lease_duration === 'number' ? auth.lease_duration : 0,
  };
}

export function wrapRequest(settings: VaultSettings, dataKey: Uint8Array): VaultRequest {
  const plaintext = Buffer.from(dataKey).toString('base64');
  return { path: `/v1/${settings.mount}/encrypt/${settings.key}`, body: { plaintext } };
}

/** The wrapped data key in an answer: `vault:v1:…`; or null. */
export function parseWrapped(answer: unknown): string | null {
  const wrapped = (answer as { data?: { ciphertext?: unknown } } | null)?.data?.ciphertext;
  return typeof wrapped === 'string' && wrapped.startsWith('vault:v') ? wrapped : null;
}

export function unwrapRequest(settings: VaultSettings, wrapped: string): VaultRequest {
  return { path: `/v1/${settings.mount}/decrypt/${settings.key}`, body: { ciphertext: wrapped } };
}

/** The data key of 32 bytes in an answer, or null. */
export function parseUnwrapped(answer: unknown): Buffer | null {
  const plaintext = (answer as { data?: { plaintext?: unknown } } | null)?.data?.plaintext;
  if (typeof plaintext !== 'string') return null;
  const dataKey = Buffer.from(plaintext, 'base64');
  return dataKey.length === 32 ? dataKey : null;
}
