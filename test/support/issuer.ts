import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, type JWK, type JWTPayload, SignJWT } from 'jose';

/** An issuer of tokens on a real socket, with a key set that tests change. */
export interface TestIssuer {
  readonly url: string;
  /** Requests for its key set so far. */
  readonly fetches: { count: number };
  /** What is published. */
  readonly published: JWK[];
  /** While set, every request is answered so. */
  failing: number | null;
  /** Makes a key pair and publishes its public half. */
  addKey(kid: string, algorithm?: 'RS256' | 'ES256' | 'EdDSA'): Promise<KeyObject>;
  sign(claims: JWTPayload, header: { kid: string; alg?: string; typ?: string }): Promise<string>;
  stop(): Promise<void>;
}

export async function startIssuer(): Promise<TestIssuer> {
  const published: JWK[] = [];
  const fetches = { count: 0 };
  const keys = new Map<string, { key: KeyObject; algorithm: string }>();
  const server = createServer((request, response) => {
    const send = (body: unknown): void => {
      response.writeHead(issuer.failing ?? 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    if (request.url === '/.well-known/openid-configuration') {
      send({ issuer: issuer.url, jwks_uri: `${issuer.url}/keys` });
    } else {
      fetches.count++;
      send({ keys: published });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer: TestIssuer = {
    url,
    fetches,
    published,
    failing: null,
    async addKey(kid, algorithm = 'ES256') {
      const pair =
        algorithm === 'RS256'
          ? generateKeyPairSync('rsa', { modulusLength: 2048 })
          : algorithm === 'ES256'
            ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
            : generateKeyPairSync('ed25519');
      keys.set(kid, { key: pair.privateKey, algorithm });
      published.push({ ...(await exportJWK(pair.publicKey)), kid, use: 'sig', alg: algorithm });
      return pair.privateKey;
    },
    sign(claims, { kid, alg, typ }) {
      const { key, algorithm } = keys.get(kid)!;
      return new SignJWT({ iss: url, ...claims })
        .setProtectedHeader({ alg: alg ?? algorithm, kid, ...(typ ? { typ } : {}) })
        .sign(key);
    },
    async stop() {
      server.closeAllConnections();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
  return issuer;
}
