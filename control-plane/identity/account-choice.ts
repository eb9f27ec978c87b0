import type { FastifyRequest } from 'fastify';
import { originOf } from '../audit/record.ts';
import type { Context } from '../context.ts';
import type { Queryable } from '../database/database.ts';
import { notFound, ProblemError } from '../http/problem.ts';
import { visibleAccount } from './caller.ts';
import { ensureAccount } from './users.ts';

/**
 * The account a list is of. Developers see their own; operators see the one that `wanted` names by id or e-mail
 * address, or, without it, all (null).
 */
export async function chooseAccount(
  db: Queryable,
  request: FastifyRequest,
  wanted: string | undefined,
): Promise<string | null> {
  const own = visibleAccount(request);
  if (own !== null || wanted === undefined) return own;
  const [row] = await db.query<{ id: string }>(
    'SELECT id FROM dev_accounts WHERE id = $1 OR lower(email) = lower($1)',
    [wanted],
  );
  if (!row) throw notFound('account');
  return row.id;
}

/** The account something is made for: the developer's own, or the one an operator names, made if need be. */
export async function accountFor(
  context: Context,
  tx: Queryable,
  request: FastifyRequest,
  email: string | undefined,
): Promise<string> {
  const own = visibleAccount(request);
  if (own !== null) {
    if (email !== undefined && request.caller?.kind === 'developer' && request.caller.email !== email) {
      throw new ProblemError('forbidden', 'Only an operator names another account.');
    }
    return own;
  }
  if (email === undefined) {
    throw new ProblemError('validation_failed', undefined, {
      errors: [{ pointer: '/account', detail: 'an operator must name the account by its e-mail address' }],
    });
  }
  const account = await ensureAccount(tx, email);
  if (account.created) {
    await context.audit.record(tx, originOf(request), {
      action: 'account.create',
      accountId: account.id,
      target: { account_id: account.id },
      after: { email },
    });
  }
  return account.id;
}
