import {
  formatContentDigest,
  prepareSignature,
  type SignableMessage,
  type SignatureAlgorithm,
} from '../contract/signing.ts';
import { encodeBase64 } from '../contract/structured-fields.ts';

/** A key that signs: the secret of an `api_key` key, or the private key whose public half is registered (Ed25519). */
export type SigningKey =
  | { readonly keyId: string; readonly secret: string }
  | { readonly keyId: string; readonly privateKey: CryptoKey };

export interface SigningOptions {
  /** Milliseconds since the epoch. Default: now. */
  readonly nowMs?: number;
  /** Default: 128 random bits. */
  readonly nonce?: string;
}

/** A request for which `signatureHeaders` makes the fields. */
export interface SignableRequest {
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  readonly body?: string | Uint8Array | ArrayBuffer | null;
}

/**
 * Signs a request as RFC 9421 says: a copy with Content-Digest (where there is a body), Signature-Input and Signature.
 * Each copy is good for one sending within 300 seconds. Needs Web Crypto, which Node, browsers and workers have.
 */
export async function sign(
  request: Request,
  key: SigningKey,
  options: SigningOptions = {},
): Promise<Request> {
  const body = request.body === null ? null : await request.clone().arrayBuffer();
  const { method, url } = request;
  const fields = await signatureHeaders({ method, url, body }, key, options);
  const headers = new Headers(request.headers);
  for (const [name, value] of Object.entries(fields)) headers.set(name, value);
  return new Request(request, body === null ? { headers } : { headers, body });
}

/** The fields that sign a request, for HTTP libraries without Request objects. */
export async function signatureHeaders(
  { method, url, body }: SignableRequest,
  key: SigningKey,
  options: SigningOptions = {},
): Promise<Record<string, string>> {
  const headers: Record<string, string> = {};
  const bytes = toBytes(body ?? '');
  if (bytes.length > 0) {
    const digest = await crypto.subtle.digest('SHA-256', bytes);
    headers['Content-Digest'] = formatContentDigest(new Uint8Array(digest));
  }
  const algorithm: SignatureAlgorithm = 'secret' in key ? 'hmac-sha256' : 'ed25519';
  const { base, input } = prepareSignature(messageOf(method, url, headers['Content-Digest'] ?? null), {
    keyId: key.keyId,
    algorithm,
    created: Math.floor((options.nowMs ?? Date.now()) / 1000),
    nonce: options.nonce ?? encodeBase64(crypto.getRandomValues(new Uint8Array(16))),
  });
  const signature = await makeSignature(toBytes(base), key);
  headers['Signature-Input'] = `sig=${input}`;
  headers.Signature = `sig=:${encodeBase64(signature)}:`;
  return headers;
}

/** The simple way: the value of X-API-Key, `<key_id>:<hex HMAC-SHA256(secret, body)>`. It does not expire. */
export async function apiKeyHeader(
  body: string | Uint8Array | ArrayBuffer | null,
  key: { readonly keyId: string; readonly secret: string },
): Promise<string> {
  const signature = await makeSignature(toBytes(body ?? ''), key);
  return `${key.keyId}:${Array.from(signature, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

function messageOf(method: string, url: string, contentDigest: string | null): SignableMessage {
  const { protocol, host, pathname, search } = new URL(url);
  return {
    method,
    scheme: protocol.slice(0, -1),
    authority: host,
    path: pathname,
    query: search === '' ? null : search.slice(1),
    status: null,
    field: (name) => (name === 'content-digest' ? contentDigest : null),
  };
}

async function makeSignature(data: Uint8Array<ArrayBuffer>, key: SigningKey): Promise<Uint8Array> {
  if ('privateKey' in key) return new Uint8Array(await crypto.subtle.sign('Ed25519', key.privateKey, data));
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const secret = await crypto.subtle.importKey('raw', toBytes(key.secret), algorithm, false, ['sign']);
  return new Uint8Array(await crypto.subtle.sign('HMAC', secret, data));
}

function toBytes(data: string | Uint8Array | ArrayBuffer): Uint8Array<ArrayBuffer> {
  if (typeof data === 'string') return new TextEncoder().encode(data);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data);
}
