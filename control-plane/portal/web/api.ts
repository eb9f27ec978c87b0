import { getToken, signOut } from './session.ts';

/** A refusal of the control plane: an RFC 9457 problem. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: readonly { pointer: string; detail: string }[];

  constructor(status: number, body: { code?: string; detail?: string; errors?: Problem['errors'] }) {
    const errors = body.errors ?? [];
    const reasons = errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; ');
    super(reasons || body.detail || `The control plane answered ${status}.`);
    this.status = status;
    this.code = body.code ?? 'unknown';
    this.errors = errors;
  }
}

export interface Page<T> {
  readonly data: T[];
  readonly next_cursor: string | null;
}

/** Calls the control plane with the token of the session; a token that is refused ends the session. */
export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(path, {
    method,
    headers: {
      accept: 'application/json',
      authorization: `Bearer ${getToken() ?? ''}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (response.ok) return (text === '' ? null : JSON.parse(text)) as T;
  if (response.status === 401) signOut('The token was not accepted, or has expired.');
  throw new Problem(response.status, parseProblem(text));
}

function parseProblem(text: string): object {
  try {
    return JSON.parse(text) as object;
  } catch {
    return { detail: text.slice(0, 200) };
  }
}

/** Every page of a list, up to 1,000 entries. */
export async function listAll<T>(path: string): Promise<T[]> {
  const all: T[] = [];
  let cursor: string | null = null;
  do {
    const mark = path.includes('?') ? '&' : '?';
    const page: Page<T> = await call(
      'GET',
      cursor ? `${path}${mark}cursor=${encodeURIComponent(cursor)}` : path,
    );
    all.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor !== null && all.length < 1000);
  return all;
}

export interface App {
  readonly app_id: string;
  readonly name: string;
  readonly description: string;
  readonly account_id: string;
  readonly version: string | null;
  readonly plan: string | null;
  readonly created_at: string;
}

export interface Key {
  readonly key_id: string;
  readonly kind: 'api_key' | 'bearer';
  readonly environment: 'test' | 'live';
  readonly name: string;
  readonly status: 'active' | 'expired' | 'revoked';
  readonly expires_at: string | null;
  readonly created_at: string;
  readonly rotated_at: string | null;
  readonly revoked_reason: string | null;
}

export interface NewKey extends Key {
  readonly secret: string;
}

export interface UsageDay {
  readonly day: string;
  readonly calls: number;
  readonly errors: number;
  readonly avg_latency_ms: number;
}

export interface Gateway {
  readonly id: string;
  readonly revision: number;
  readonly version: string;
  readonly last_seen_at: string;
  readonly lag?: number;
}
