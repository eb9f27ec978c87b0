import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Database } from '../database/database.ts';
import { ProblemError } from '../http/problem.ts';
import { mintId } from '../identifiers.ts';
import type { ProviderIdentity } from './oidc.ts';

export interface SessionRow {
  id: string;
  csrf_token: string;
  issuer: string;
  subject: string;
  email: string | null;
  email_verified: boolean;
  name: string | null;
  administrator: boolean;
  user_agent: string | null;
  created_at: Date;
  last_seen_at: Date;
  expires_at: Date;
}

const lifetimeHours = 12;
const idleHours = 2;
const columns =
  'id, csrf_token, issuer, subject, email, email_verified, name, administrator, user_agent, created_at, last_seen_at, expires_at';

/** Starts a session; the token goes into the cookie and is kept nowhere. */
export async function startSession(
  db: Database,
  identity: ProviderIdentity,
  userAgent: string | null,
): Promise<string> {
  const token = randomBytes(32).toString('base64url');
  await db.execute('DELETE FROM dev_sessions WHERE expires_at < now()');
  await db.execute(
    `INSERT INTO dev_sessions (id, token_sha256, csrf_token, issuer, subject, provider_session, email,
       email_verified, name, administrator, user_agent, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now() + interval '${lifetimeHours} hours')`,
    [
      mintId('ses'),
      hash(token),
      randomBytes(24).toString('base64url'),
      identity.issuer,
      identity.subject,
      identity.sessionId,
      identity.email,
      identity.emailVerified,
      identity.name,
      identity.administrator,
      userAgent?.slice(0, 300) ?? null,
    ],
  );
  return token;
}

/** The session of a cookie, unless it has ended or lain idle for two hours. */
export async function findSession(db: Database, token: string): Promise<SessionRow | null> {
  const [row] = await db.query<SessionRow>(
    `SELECT ${columns} FROM dev_sessions
     WHERE token_sha256 = $1 AND expires_at > now() AND last_seen_at > now() - interval '${idleHours} hours'`,
    [hash(token)],
  );
  if (!row) return null;
  if (Date.now() - row.last_seen_at.getTime() > 60_000) {
    await db.execute('UPDATE dev_sessions SET last_seen_at = now() WHERE id = $1', [row.id]);
  }
  return row;
}

/**
 * Refuses a request that changes something unless it comes from the console itself: it must carry the session's token
 * in `X-CSRF-Token`, which other sites cannot know, and must not come from another site.
 */
export function checkForgery(request: FastifyRequest, session: SessionRow): void {
  if (request.method === 'GET' || request.method === 'HEAD') return;
  const given = request.headers['x-csrf-token'];
  const site = request.headers['sec-fetch-site'];
  const same =
    typeof given === 'string' &&
    timingSafeEqual(Buffer.from(hash(given)), Buffer.from(hash(session.csrf_token)));
  if (!same || (site !== undefined && site !== 'same-origin' && site !== 'none')) {
    throw new ProblemError('forbidden', 'The request does not come from the console.');
  }
}

export async function listSessions(db: Database, issuer: string, subject: string): Promise<SessionRow[]> {
  return await db.query<SessionRow>(
    `SELECT ${columns} FROM dev_sessions WHERE issuer = $1 AND subject = $2 AND expires_at > now() ORDER BY created_at, id`,
    [issuer, subject],
  );
}

/** Ends sessions; how many there were. */
export async function endSessions(
  db: Database,
  which: { issuer: string; subject?: string | null; sessionId?: string | null; id?: string | null },
): Promise<number> {
  return await db.execute(
    `DELETE FROM dev_sessions WHERE issuer = $1
       AND ($2::text IS NULL OR subject = $2)
       AND ($3::text IS NULL OR provider_session = $3)
       AND ($4::text IS NULL OR id = $4)
       AND coalesce($2, $3, $4) IS NOT NULL`,
    [which.issuer, which.subject ?? null, which.sessionId ?? null, which.id ?? null],
  );
}

function hash(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
