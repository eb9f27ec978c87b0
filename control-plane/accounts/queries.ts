import type { Queryable } from '../database/database.ts';
import type { Role } from '../identity/caller.ts';

export interface AccountRow {
  id: string;
  email: string;
  name: string;
  status: 'active' | 'suspended';
  created_at: Date;
  updated_at: Date;
}

export interface MemberRow {
  user_id: string | null;
  email: string | null;
  name: string | null;
  role: Role;
  since: Date;
}

export async function findAccount(db: Queryable, id: string, lock = false): Promise<AccountRow | undefined> {
  const [row] = await db.query<AccountRow>(
    `SELECT * FROM dev_accounts WHERE id = $1${lock ? ' FOR UPDATE' : ''}`,
    [id],
  );
  return row;
}

export async function listAccounts(
  db: Queryable,
  after: readonly string[] | null,
  limit: number,
): Promise<AccountRow[]> {
  return await db.query<AccountRow>(
    `SELECT * FROM dev_accounts
     WHERE $1::timestamptz IS NULL OR (date_trunc('milliseconds', created_at), id) > ($1, $2)
     ORDER BY date_trunc('milliseconds', created_at), id LIMIT $3`,
    [after?.[0] ?? null, after?.[1] ?? null, limit],
  );
}

/** The accounts of a user, with the role in each. */
export async function listMemberships(
  db: Queryable,
  userId: string,
): Promise<(AccountRow & { role: Role })[]> {
  return await db.query(
    `SELECT a.*, m.role FROM dev_account_members m JOIN dev_accounts a ON a.id = m.account_id
     WHERE m.user_id = $1 ORDER BY m.created_at, a.id`,
    [userId],
  );
}

export async function updateAccount(tx: Queryable, row: AccountRow): Promise<AccountRow> {
  const [next] = await tx.query<AccountRow>(
    'UPDATE dev_accounts SET name = $2, status = $3, updated_at = now() WHERE id = $1 RETURNING *',
    [row.id, row.name, row.status],
  );
  return next!;
}

/** Members and, after them, who is invited. */
export async function listMembers(db: Queryable, accountId: string): Promise<MemberRow[]> {
  return await db.query<MemberRow>(
    `SELECT u.id AS user_id, u.email, u.name, m.role, m.created_at AS since, 0 AS place
     FROM dev_account_members m JOIN dev_users u ON u.id = m.user_id WHERE m.account_id = $1
     UNION ALL
     SELECT NULL, email, NULL, role, created_at, 1 FROM dev_invitations
     WHERE account_id = $1 AND expires_at > now()
     ORDER BY place, since, email`,
    [accountId],
  );
}

export async function putInvitation(
  tx: Queryable,
  accountId: string,
  email: string,
  role: Role,
): Promise<void> {
  await tx.execute(
    `INSERT INTO dev_invitations (account_id, email, role) VALUES ($1, $2, $3)
     ON CONFLICT (account_id, lower(email)) DO UPDATE
     SET role = excluded.role, created_at = now(), expires_at = excluded.expires_at`,
    [accountId, email, role],
  );
}

export async function deleteInvitation(tx: Queryable, accountId: string, email: string): Promise<boolean> {
  const removed = await tx.execute(
    'DELETE FROM dev_invitations WHERE account_id = $1 AND lower(email) = lower($2)',
    [accountId, email],
  );
  return removed > 0;
}

/** Makes a user a member of every account that invited the e-mail address. */
export async function acceptInvitations(
  tx: Queryable,
  userId: string,
  email: string,
): Promise<{ account_id: string; role: Role }[]> {
  const accepted = await tx.query<{ account_id: string; role: Role }>(
    `DELETE FROM dev_invitations WHERE lower(email) = lower($1) AND expires_at > now()
     RETURNING account_id, role`,
    [email],
  );
  for (const { account_id: accountId, role } of accepted) {
    await tx.execute(
      `INSERT INTO dev_account_members (account_id, user_id, role) VALUES ($1, $2, $3)
       ON CONFLICT (account_id, user_id) DO UPDATE SET role = excluded.role`,
      [accountId, userId, role],
    );
  }
  return accepted;
}

/** The members of an account, held until the transaction ends. */
export async function lockMembers(
  tx: Queryable,
  accountId: string,
): Promise<{ user_id: string; role: Role }[]> {
  return await tx.query(
    'SELECT user_id, role FROM dev_account_members WHERE account_id = $1 ORDER BY user_id FOR UPDATE',
    [accountId],
  );
}

/** Sets a member's role; null removes the member. */
export async function setRole(
  tx: Queryable,
  accountId: string,
  userId: string,
  role: Role | null,
): Promise<void> {
  if (role === null) {
    await tx.execute('DELETE FROM dev_account_members WHERE account_id = $1 AND user_id = $2', [
      accountId,
      userId,
    ]);
  } else {
    await tx.execute('UPDATE dev_account_members SET role = $3 WHERE account_id = $1 AND user_id = $2', [
      accountId,
      userId,
      role,
    ]);
  }
}
