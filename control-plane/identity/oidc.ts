import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as client from 'openid-client';
import { ProblemError } from '../http/problem.ts';
import type { TokenIdentity } from './dev-issuer.ts';

/** The identity provider of the organisation. */
export interface OidcSettings {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string | null;
  /** Who bearer tokens must be for; the client itself is accepted as well. */
  readonly audience: string;
  /** The role, in the claims `roles` or `groups`, that makes an operator. */
  readonly administratorRole: string;
}

/** An identity with what only a provider tells. */
export interface ProviderIdentity extends TokenIdentity {
  readonly administrator: boolean;
  readonly sessionId: string | null;
}

/** What a sign-in needs when the provider sends the browser back. */
export interface SignInState {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly returnTo: string;
}

interface Discovered {
  readonly configuration: client.Configuration;
  readonly keys: ReturnType<typeof createRemoteJWKSet>;
}

const signatureAlgorithms = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'];
const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout';

/** Signs people in through OpenID Connect and verifies bearer tokens. Discovered on first use, again after failures. */
export class OidcProvider {
  readonly settings: OidcSettings;
  #discovered: Promise<Discovered> | null = null;

  constructor(settings: OidcSettings) {
    this.settings = settings;
  }

  /** The identity in a bearer JWT of this issuer, or null. */
  async verifyToken(token: string): Promise<ProviderIdentity | null> {
    if (token.split('.').length !== 3) return null;
    const { configuration, keys } = await this.#discover();
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer: configuration.serverMetadata().issuer,
        audience: [this.settings.audience, this.settings.clientId],
        algorithms: signatureAlgorithms,
        requiredClaims: ['sub', 'exp'],
        clockTolerance: 5,
      });
      return this.#identify(payload);
    } catch (error) {
      if ((error as { code?: string }).code === 'ERR_JWKS_TIMEOUT') throw providerAway(error);
      return null;
    }
  }

  /** Where to send the browser, and what to keep until it comes back. */
  async beginSignIn(redirectUri: string, returnTo: string): Promise<{ url: string; state: SignInState }> {
    const { configuration } = await this.#discover();
    const state: SignInState = {
      state: client.randomState(),
      nonce: client.randomNonce(),
      verifier: client.randomPKCECodeVerifier(),
      returnTo,
    };
    const url = client.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: 'openid email profile',
      state: state.state,
      nonce: state.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(state.verifier),
      code_challenge_method: 'S256',
    });
    return { url: url.href, state };
  }

  /** The identity of who has come back with `currentUrl`; a problem when anything does not fit. */
  async finishSignIn(currentUrl: URL, state: SignInState): Promise<ProviderIdentity> {
    const { configuration } = await this.#discover();
    const tokens = await client
      .authorizationCodeGrant(configuration, currentUrl, {
        expectedState: state.state,
        expectedNonce: state.nonce,
        pkceCodeVerifier: state.verifier,
        idTokenExpected: true,
      })
      .catch((cause: Error) => {
        const problem = new ProblemError(
          'credentials_invalid',
          'The sign-in could not be completed; begin again.',
        );
        problem.cause = cause;
        throw problem;
      });
    return this.#identify(tokens.claims()!);
  }

  /** Where the browser can end its session at the provider, or null. */
  async endSessionUrl(returnTo: string): Promise<string | null> {
    const { configuration } = await this.#discover();
    if (!configuration.serverMetadata().end_session_endpoint) return null;
    return client.buildEndSessionUrl(configuration, {
      post_logout_redirect_uri: returnTo,
      client_id: this.settings.clientId,
    }).href;
  }

  /** Whom a back-channel logout token (OpenID Connect Back-Channel Logout 1.0, section 2.4) ends the sessions of. */
  async verifyLogoutToken(
    token: string,
  ): Promise<{ issuer: string; subject: string | null; sessionId: string | null } | null> {
    const { configuration, keys } = await this.#discover();
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer: configuration.serverMetadata().issuer,
        audience: this.settings.clientId,
        algorithms: signatureAlgorithms,
        requiredClaims: ['iat', 'jti', 'events'],
        maxTokenAge: '5 minutes',
        clockTolerance: 30,
      });
      const events = payload.events as Record<string, unknown> | undefined;
      const subject = payload.sub ?? null;
      const sessionId = typeof payload.sid === 'string' ? payload.sid : null;
      if (payload.nonce !== undefined || typeof events?.[logoutEvent] !== 'object') return null;
      return subject === null && sessionId === null ? null : { issuer: payload.iss!, subject, sessionId };
    } catch {
      return null;
    }
  }

  #identify(claims: Readonly<Record<string, unknown>>): ProviderIdentity {
    const text = (value: unknown): string | null =>
      typeof value === 'string' && value !== '' ? value : null;
    const roles = [claims.roles, claims.groups].flatMap((value) =>
      Array.isArray(value) ? value : typeof value === 'string' ? value.split(' ') : [],
    );
    return {
      issuer: String(claims.iss),
      subject: String(claims.sub),
      email: text(claims.email),
      emailVerified: claims.email_verified === true,
      name: text(claims.name),
      administrator: roles.includes(this.settings.administratorRole),
      sessionId: text(claims.sid),
    };
  }

  #discover(): Promise<Discovered> {
    this.#discovered ??= this.#fetchMetadata().catch((error: unknown) => {
      this.#discovered = null;
      throw providerAway(error);
    });
    return this.#discovered;
  }

  async #fetchMetadata(): Promise<Discovered> {
    const { issuer, clientId, clientSecret } = this.settings;
    const server = new URL(issuer);
    const local = server.protocol === 'http:';
    const configuration = await client.discovery(
      server,
      clientId,
      undefined,
      clientSecret === null ? client.None() : client.ClientSecretBasic(clientSecret),
      { timeout: 10, ...(local ? { execute: [client.allowInsecureRequests] } : {}) },
    );
    const jwksUri = configuration.serverMetadata().jwks_uri;
    if (!jwksUri) throw new Error(`${issuer} names no jwks_uri`);
    return { configuration, keys: createRemoteJWKSet(new URL(jwksUri), { timeoutDuration: 5000 }) };
  }
}

function providerAway(cause: unknown): ProblemError {
  const problem = new ProblemError(
    'unavailable',
    'The identity provider cannot be reached now; retry later.',
    undefined,
    {
      'retry-after': '5',
    },
  );
  problem.cause = cause;
  return problem;
}
