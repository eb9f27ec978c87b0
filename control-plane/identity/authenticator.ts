import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { ProblemError } from '../http/problem.ts';
import type { Caller } from './caller.ts';

/** Turns a bearer token into a caller, or null when it is none of its kind. */
export type TokenVerifier = (token: string, request: FastifyRequest) => Promise<Caller | null>;

type Hook = (request: FastifyRequest) => Promise<void>;

/** Says who calls, and refuses who may not. The hooks are for the `onRequest` option of routes. */
export class Authenticator {
  readonly #operatorToken: Buffer | null;
  readonly #gatewayToken: Buffer | null;
  readonly #verifiers: TokenVerifier[] = [];
  readonly #requestVerifiers: ((request: FastifyRequest) => Promise<Caller | null>)[] = [];

  constructor(operatorToken: string | null, gatewayToken: string | null) {
    this.#operatorToken = operatorToken === null ? null : digest(operatorToken);
    this.#gatewayToken = gatewayToken === null ? null : digest(gatewayToken);
  }

  /** Adds a kind of bearer token. */
  addTokens(verifier: TokenVerifier): void {
    this.#verifiers.push(verifier);
  }

  /** Adds a way to be identified without a bearer token, such as a session cookie. */
  addRequests(verifier: (request: FastifyRequest) => Promise<Caller | null>): void {
    this.#requestVerifiers.push(verifier);
  }

  /** Operators and developers. */
  readonly developer: Hook = async (request) => {
    const caller = await this.identify(request);
    if (!caller) throw unauthenticated();
    if (caller.kind === 'gateway') throw new ProblemError('forbidden');
    request.caller = caller;
  };

  readonly operator: Hook = async (request) => {
    const caller = await this.identify(request);
    if (!caller) throw unauthenticated();
    if (caller.kind !== 'operator') throw new ProblemError('forbidden', 'This needs the operator.');
    request.caller = caller;
  };

  readonly gateway: Hook = async (request) => {
    const token = bearerToken(request);
    if (token === null || !this.#gatewayToken || !timingSafeEqual(digest(token), this.#gatewayToken)) {
      throw unauthenticated();
    }
    request.caller = { kind: 'gateway', actor: 'gateway' };
  };

  async identify(request: FastifyRequest): Promise<Caller | null> {
    const token = bearerToken(request);
    if (token === null) {
      for (const verify of this.#requestVerifiers) {
        const caller = await verify(request);
        if (caller) return caller;
      }
      return null;
    }
    const hash = digest(token);
    if (this.#operatorToken && timingSafeEqual(hash, this.#operatorToken)) {
      return { kind: 'operator', actor: 'operator' };
    }
    if (this.#gatewayToken && timingSafeEqual(hash, this.#gatewayToken)) {
      return { kind: 'gateway', actor: 'gateway' };
    }
    for (const verify of this.#verifiers) {
      const caller = await verify(token, request);
      if (caller) return caller;
    }
    return null;
  }
}

function bearerToken(request: FastifyRequest): string | null {
  const value = request.headers.authorization;
  return value && /^bearer /i.test(value) ? value.slice(7).trim() : null;
}

function unauthenticated(): ProblemError {
  return new ProblemError('credentials_invalid', undefined, undefined, {
    'www-authenticate': 'Bearer realm="tollgate"',
  });
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
