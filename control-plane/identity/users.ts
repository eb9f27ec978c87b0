import { type AuditLog, systemOrigin } from '../audit/record.ts';
import type { Database, Queryable } from '../database/database.ts';
import { ProblemError } from '../http/problem.ts';
import { mintId } from '../identifiers.ts';
import type { Caller, Role } from './caller.ts';
import type { TokenIdentity } from './dev-issuer.ts';

interface Membership {
  user_id: string;
  email: string | null;
  account_id: string | null;
  role: Role | null;
  status: string | null;
}

const membershipQuery = `
  SELECT u.id AS user_id, u.email, m.account_id, m.role, a.status
  FROM dev_users u
  LEFT JOIN dev_account_members m ON m.user_id = u.id
  LEFT JOIN dev_accounts a ON a.id = m.account_id
  WHERE u.issuer = $1 AND u.subject = $2
    AND ($3::text IS NULL OR a.id = $3 OR lower(a.email) = lower($3))
  ORDER BY m.created_at, m.account_id LIMIT 1`;

/**
 * The caller that a verified identity is: registered, with an account of their own, at the first sign-in. `wanted`
 * picks one of several accounts, by id or e-mail address.
 */
export async function resolveDeveloper(
  db: Database,
  audit: AuditLog,
  identity: TokenIdentity,
  wanted: string | null,
): Promise<Caller> {
  const found = (await db.query<Membership>(membershipQuery, [identity.issuer, identity.subject, wanted]))[0];
  if (found?.account_id) return callerOf(found);
  if (wanted !== null && wanted.toLowerCase() !== identity.email?.toLowerCase()) {
    throw new ProblemError('not_found', 'There is no such account.');
  }
  await db.transaction((tx) => register(tx, audit, identity));
  const registered = (
    await db.query<Membership>(membershipQuery, [identity.issuer, identity.subject, null])
  )[0]!;
  return callerOf(registered);
}

function callerOf(row: Membership): Caller {
  if (row.status === 'suspended') throw new ProblemError('forbidden', 'The account is suspended.');
  return {
    kind: 'developer',
    actor: row.email ?? row.user_id,
    userId: row.user_id,
    email: row.email,
    accountId: row.account_id!,
    role: row.role!,
  };
}

async function register(tx: Queryable, audit: AuditLog, identity: TokenIdentity): Promise<void> {
  const [user] = await tx.query<{ id: string }>(
    `INSERT INTO dev_users (id, issuer, subject, email, name) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (issuer, subject) DO UPDATE SET last_seen_at = now() RETURNING id`,
    [mintId('usr'), identity.issuer, identity.subject, identity.email, identity.name],
  );
  const email = identity.email ?? `${identity.subject}@${new URL(identity.issuer).hostname}`;
  const [existing] = await tx.query<{ id: string; members: number }>(
    `SELECT a.id, (SELECT count(*) FROM dev_account_members m WHERE m.account_id = a.id)::int AS members
     FROM dev_accounts a WHERE lower(a.email) = lower($1)`,
    [email],
  );
  if (existing && !identity.emailVerified) {
    throw new ProblemError(
      'forbidden',
      'An account with this e-mail address exists; the address is not verified.',
    );
  }
  const accountId = existing?.id ?? (await ensureAccount(tx, email, identity.name)).id;
  await tx.execute(
    `INSERT INTO dev_account_members (account_id, user_id, role) VALUES ($1, $2, 'owner') ON CONFLICT DO NOTHING`,
    [accountId, user!.id],
  );
  await audit.record(
    tx,
    { ...systemOrigin('identity'), actor: email },
    {
      action: 'user.register',
      accountId,
      target: { user_id: user!.id, account_id: accountId },
      after: { issuer: identity.issuer, subject: identity.subject, email: identity.email },
    },
  );
}

/** The account of an e-mail address, made when there is none. */
export async function ensureAccount(
  tx: Queryable,
  email: string,
  name?: string | null,
): Promise<{ id: string; created: boolean }> {
  const [made] = await tx.query<{ id: string }>(
    `INSERT INTO dev_accounts (id, email, name) VALUES ($1, $2, $3)
     ON CONFLICT (lower(email)) DO NOTHING RETURNING id`,
    [mintId('acc'), email, name ?? email],
  );
  if (made) return { id: made.id, created: true };
  const [found] = await tx.query<{ id: string }>(
    'SELECT id FROM dev_accounts WHERE lower(email) = lower($1)',
    [email],
  );
  return { id: found!.id, created: false };
}
