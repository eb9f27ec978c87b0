import type { FastifyRequest } from 'fastify';
import { ProblemError } from '../http/problem.ts';

export type Role = 'owner' | 'developer' | 'viewer';
export const roles: readonly Role[] = ['owner', 'developer', 'viewer'];

/** Who makes a request. */
export type Caller =
  | { readonly kind: 'operator'; readonly actor: string }
  | { readonly kind: 'gateway'; readonly actor: string }
  | {
      readonly kind: 'developer';
      readonly actor: string;
      readonly userId: string;
      readonly email: string | null;
      readonly accountId: string;
      readonly role: Role;
    };

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | null;
  }
}

/** The account whose things the caller sees: null for an operator, who sees all. */
export function visibleAccount(request: FastifyRequest): string | null {
  const caller = request.caller;
  if (caller?.kind === 'developer') return caller.accountId;
  if (caller?.kind === 'operator') return null;
  throw new ProblemError('forbidden');
}

const rank: Readonly<Record<Role, number>> = { viewer: 0, developer: 1, owner: 2 };

/** Refuses developers whose role in the account is below `role`. Operators pass. */
export function requireRole(request: FastifyRequest, role: Role): void {
  const caller = request.caller;
  if (caller?.kind === 'operator') return;
  if (caller?.kind !== 'developer' || rank[caller.role] < rank[role]) {
    throw new ProblemError('forbidden', `This needs the role ${role} in the account.`);
  }
}
