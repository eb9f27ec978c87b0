import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * A server that keeps the HTTP contract of Vault's Transit engine, as far as wrapping data keys goes: encrypt and
 * decrypt with key versions, and logins by AppRole and Kubernetes.
 */
export interface TestVault {
  readonly url: string;
  /** Requests so far, by path. */
  readonly requests: string[];
  /** What it answers to every request in place of its own; null: as a vault does. */
  failing: number | null;
  /** Adds a version of the key; the newest wraps. */
  rotateKey(): void;
  /** Refuses what older versions have wrapped. */
  requireVersion(version: number): void;
  /** Ends all tokens of logins. */
  revokeTokens(): void;
  stop(): Promise<void>;
}

export const vaultToken = 'root-token-of-the-test';

export async function startVault(): Promise<TestVault> {
  const versions = [randomBytes(32)];
  const tokens = new Set<string>();
  let minimum = 1;
  const state = { failing: null as number | null };
  const requests: string[] = [];

  const answer = (path: string, body: Record<string, string>, token: string): [number, unknown] => {
    if (state.failing !== null) return [state.failing, { errors: ['failing'] }];
    const login = (): [number, unknown] => {
      const made = `hvs.${randomBytes(12).toString('hex')}`;
      tokens.add(made);
      return [200, { auth: { client_token: made, lease_duration: 3600 } }];
    };
    if (path === '/v1/auth/approle/login') {
      return body.role_id === 'role' && body.secret_id === 'secret'
        ? login()
        : [400, { errors: ['invalid'] }];
    }
    if (path === '/v1/auth/kubernetes/login') {
      return body.role === 'tollgate' && body.jwt === 'service-account'
        ? login()
        : [403, { errors: ['denied'] }];
    }
    if (token !== vaultToken && !tokens.has(token)) return [403, { errors: ['permission denied'] }];
    if (path === '/v1/transit/encrypt/tollgate') {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', versions.at(-1)!, nonce);
      const box = [nonce, cipher.update(Buffer.from(body.plaintext!, 'base64')), cipher.final()];
      const text = Buffer.concat([...box, cipher.getAuthTag()]).toString('base64');
      return [200, { data: { ciphertext: `vault:v${versions.length}:${text}` } }];
    }
    if (path === '/v1/transit/decrypt/tollgate') {
      const [, version, text] = /^vault:v(\d+):(.+)$/.exec(body.ciphertext ?? '') ?? [];
      const key = Number(version) >= minimum ? versions[Number(version) - 1] : undefined;
      if (!key || !text) return [400, { errors: ['ciphertext version is disallowed'] }];
      const bytes = Buffer.from(text, 'base64');
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12));
      decipher.setAuthTag(bytes.subarray(-16));
      const plaintext = Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]);
      return [200, { data: { plaintext: plaintext.toString('base64') } }];
    }
    return [404, { errors: [] }];
  };

  const server = createServer(async (request: IncomingMessage, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    requests.push(request.url!);
    const body = JSON.parse(text || '{}') as Record<string, string>;
    const [status, reply] = answer(request.url!, body, String(request.headers['x-vault-token'] ?? ''));
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(reply));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get failing() {
      return state.failing;
    },
    set failing(status) {
      state.failing = status;
    },
    rotateKey: () => void versions.push(randomBytes(32)),
    requireVersion(version) {
      minimum = version;
    },
    revokeTokens: () => tokens.clear(),
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
