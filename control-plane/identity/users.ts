import { acceptInvitations } from '../accounts/queries.ts';
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
  invited: boolean;
}

const membershipQuery = `
  SELECT u.id AS user_id, u.email, m.account_id, m.role, a.status,
         EXISTS (SELECT 1 FROM dev_invitations i WHERE lower(i.email) = lower($4)) AS invited
  FROM dev_users u
  LEFT JOIN dev_account_members m ON m.user_id = u.id
  LEFT JOIN dev_accounts a ON a.id = m.account_id
  WHERE u.issuer = $1 AND u.subject = $2
    AND ($3::text IS NULL OR a.id = $3 OR lower(a.email) = lower($3))
  ORDER BY m.created_at, m.account_id LIMIT 1`;

/**
 * The caller that a verified identity is. The first sign-in registers it, as a member of the accounts that invited
 * its e-mail address, else with an account of its own. `wanted` picks one of several accounts, by id or e-mail address.
 */
export async function resolveDeveloper(
  db: Database,
  audit: AuditLog,
  identity: TokenIdentity,
  wanted: string | null,
): Promise<Caller> {
  const verifiedEmail = identity.emailVerified ? identity.email : null;
  const find = async (): Promise<Membership | undefined> =>
    (
      await db.query<Membership>(membershipQuery, [identity.issuer, identity.subject, wanted, verifiedEmail])
    )[0];
  let found = await find();
  if (!found?.account_id || found.invited) {
    await db.transaction((tx) => register(tx, audit, identity));
    found = await find();
  }
  if (!found?.account_id) throw new ProblemError('not_found', 'There is no such account.');
  if (found.status === 'suspended') throw new ProblemError('forbidden', 'The account is suspended.');
  return {
    kind: 'developer',
    actor: found.email ?? found.user_id,
    userId: found.user_id,
    email: found.email,
    accountId: found.account_id,
    role: found.role!,
  };
}

async function register(tx: Queryable, audit: AuditLog, identity: TokenIdentity): Promise<void> {
  const [user] = await tx.query<{ id: string; is_new: boolean }>(
    `INSERT INTO dev_users (id, issuer, subject, email, name) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (issuer, subject) DO UPDATE SET last_seen_at = now()
     RETURNING id, xmax = 0 AS is_new`,
    [mintId('usr'), identity.issuer, identity.subject, identity.email, identity.name],
  );
  const userId = user!.id;
  const origin = { ...systemOrigin('identity'), actor: identity.email ?? userId };
  const verified = identity.emailVerified && identity.email !== null;
  for (const { account_id: accountId, role } of verified
    ? await acceptInvitations(tx, userId, identity.email!)
    : []) {
    await audit.record(tx, origin, {
      action: 'member.join',
      accountId,
      target: { account_id: accountId, user_id: userId },
      after: { role },
    });
  }
  const [member] = await tx.query('SELECT 1 FROM dev_account_members WHERE user_id = $1 LIMIT 1', [userId]);
  if (member) return;
  const accountId = await ownAccount(tx, identity);
  await tx.execute(
    `INSERT INTO dev_account_members (account_id, user_id, role) VALUES ($1, $2, 'owner') ON CONFLICT DO NOTHING`,
    [accountId, userId],
  );
  await audit.record(tx, origin, {
    action: 'user.register',
    accountId,
    target: { user_id: userId, account_id: accountId },
    after: { issuer: identity.issuer, subject: identity.subject, email: identity.email },
  });
}

/**
 * The account of a person's own: that of the verified e-mail address if no one has joined it yet, else a new one. An
 * address that is not verified never opens an account that exists.
 */
async function ownAccount(tx: Queryable, identity: TokenIdentity): Promise<string> {
  const fallback = `${identity.subject}@${new URL(identity.issuer).hostname}`;
  const email = identity.email ?? fallback;
  const account = await ensureAccount(tx, email, identity.name);
  if (account.created || account.members === 0) {
    if (account.created || (identity.emailVerified && identity.email !== null)) return account.id;
  }
  if (identity.emailVerified && identity.email !== null && account.members > 0) {
    throw new ProblemError('forbidden', 'This address has an account; ask its owner for an invitation.');
  }
  throw new ProblemError(
    'forbidden',
    'An account with this e-mail address exists; verify the address first.',
  );
}

/** The account of an e-mail address, made when there is none. */
export async function ensureAccount(
  tx: Queryable,
  email: string,
  name?: string | null,
): Promise<{ id: string; created: boolean; members: number }> {
  const [made] = await tx.query<{ id: string }>(
    `INSERT INTO dev_accounts (id, email, name) VALUES ($1, $2, $3)
     ON CONFLICT (lower(email)) DO NOTHING RETURNING id`,
    [mintId('acc'), email, name ?? email],
  );
  if (made) return { id: made.id, created: true, members: 0 };
  const [found] = await tx.query<{ id: string; members: number }>(
    `SELECT id, (SELECT count(*)::int FROM dev_account_members m WHERE m.account_id = a.id) AS members
     FROM dev_accounts a WHERE lower(email) = lower($1)`,
    [email],
  );
  return { id: found!.id, created: false, members: found!.members };
}
