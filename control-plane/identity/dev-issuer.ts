import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type CryptoKey,
  calculateJwkThumbprint,
  createLocalJWKSet,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose';

/** Claims of a verified token that identify a person. */
export interface TokenIdentity {
  readonly issuer: string;
  readonly subject: string;
  readonly email: string | null;
  readonly emailVerified: boolean;
  readonly name: string | null;
}

const algorithm = 'ES256';
export const tokenAudience = 'tollgate';
/** Names the issuer in the register of people: its address changes with the port. */
export const devIssuerName = 'urn:tollgate:dev-issuer';

/**
 * The built-in issuer of developer tokens, for trying Tollgate out without an identity provider. Its signing key is
 * kept in `DIR/issuer.jwk`.
 */
export class DevIssuer {
  readonly #privateKey: CryptoKey;
  readonly #publicJwk: JWK;
  readonly #issuer: () => string;

  private constructor(privateKey: CryptoKey, publicJwk: JWK, issuer: () => string) {
    this.#privateKey = privateKey;
    this.#publicJwk = publicJwk;
    this.#issuer = issuer;
  }

  static async open(dataDir: string, issuer: () => string): Promise<DevIssuer> {
    const file = join(dataDir, 'issuer.jwk');
    if (!existsSync(file)) {
      const pair = await generateKeyPair(algorithm, { extractable: true });
      writeFileSync(file, JSON.stringify(await exportJWK(pair.privateKey)), { mode: 0o600, flag: 'wx' });
    }
    const jwk = JSON.parse(readFileSync(file, 'utf8')) as JWK;
    const { d: _private, ...shared } = jwk;
    const publicJwk: JWK = { ...shared, kid: await calculateJwkThumbprint(jwk), use: 'sig', alg: algorithm };
    return new DevIssuer((await importJWK(jwk, algorithm)) as CryptoKey, publicJwk, issuer);
  }

  get issuer(): string {
    return this.#issuer();
  }

  metadata(): Record<string, unknown> {
    return {
      issuer: this.issuer,
      jwks_uri: `${this.issuer}/oauth/jwks`,
      token_endpoint: `${this.issuer}/admin/v1/dev-tokens`,
      response_types_supported: ['token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: [algorithm],
    };
  }

  jwks(): { keys: JWK[] } {
    return { keys: [this.#publicJwk] };
  }

  async mint(options: {
    subject: string;
    email: string;
    audience?: string;
    scope?: string;
    roles?: readonly string[];
    lifetimeSeconds: number;
  }): Promise<string> {
    return await new SignJWT({
      email: options.email,
      email_verified: true,
      ...(options.scope ? { scope: options.scope } : {}),
      ...(options.roles ? { roles: options.roles } : {}),
    })
      .setProtectedHeader({ alg: algorithm, kid: this.#publicJwk.kid!, typ: 'JWT' })
      .setIssuer(this.issuer)
      .setSubject(options.subject)
      .setAudience(options.audience ?? tokenAudience)
      .setIssuedAt()
      .setJti(randomUUID())
      .setExpirationTime(`${options.lifetimeSeconds}s`)
      .sign(this.#privateKey);
  }

  /** The identity in a token of this issuer, or null. */
  async verify(token: string): Promise<TokenIdentity | null> {
    try {
      const { payload } = await jwtVerify(token, createLocalJWKSet(this.jwks()), {
        issuer: this.issuer,
        audience: tokenAudience,
        algorithms: [algorithm],
        requiredClaims: ['sub', 'exp'],
      });
      const email = typeof payload.email === 'string' ? payload.email : null;
      return {
        issuer: devIssuerName,
        subject: payload.sub!,
        email,
        emailVerified: email !== null,
        name: null,
      };
    } catch {
      return null;
    }
  }
}
