import { createHash } from 'node:crypto';
import Type, { type Static } from 'typebox';
import { keyIdPattern } from './keys.ts';
import type { FieldError } from './problems.ts';
import type { Key } from './registry.ts';
import { check, type Parsed } from './validation.ts';

/**
 * Keys pushed in by an external portal: `PUT /admin/v1/keys/{key_id}` and `POST /admin/v1/keys:batch`, the same at
 * the control plane and at a gateway that stands alone. Only hashes travel: pushed keys are `bearer` keys.
 */

const closed = { additionalProperties: false } as const;
const id = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$' });
const time = Type.String({ format: 'date-time' });

const members = {
  sha256: Type.Optional(
    Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Hex SHA-256 of the secret, or `secret`.' }),
  ),
  secret: Type.Optional(
    Type.String({ minLength: 16, maxLength: 512, description: 'Hashed on arrival and never stored.' }),
  ),
  kind: Type.Optional(Type.Literal('bearer')),
  environment: Type.Optional(Type.Union([Type.Literal('test'), Type.Literal('live')])),
  name: Type.Optional(Type.String({ maxLength: 200 })),
  app: Type.Optional(id),
  expires_at: Type.Optional(Type.Union([time, Type.Null()])),
  scopes: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { maxItems: 100 })),
  addresses: Type.Optional(
    Type.Object(
      {
        allow: Type.Optional(Type.Array(Type.String(), { maxItems: 1000 })),
        deny: Type.Optional(Type.Array(Type.String(), { maxItems: 1000 })),
      },
      closed,
    ),
  ),
  version: Type.Optional(Type.String()),
  plan: Type.Optional(id),
  quota: Type.Optional(
    Type.Object(
      {
        burst_limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1e9 })),
        sustained_limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1e9 })),
        daily_quota: Type.Optional(Type.Integer({ minimum: 1, maximum: 1e12 })),
        overage_action: Type.Optional(
          Type.Union([Type.Literal('block'), Type.Literal('warn'), Type.Literal('charge')]),
        ),
      },
      closed,
    ),
  ),
};

/** Body of `PUT /admin/v1/keys/{key_id}`. */
export const keyPushSchema = Type.Object(members, closed);
/** One entry of `POST /admin/v1/keys:batch`; `delete: true` removes the key. */
export const keyBatchEntrySchema = Type.Object(
  { key_id: Type.String(), delete: Type.Optional(Type.Literal(true)), ...members },
  closed,
);
/** Body of `POST /admin/v1/keys:batch`. */
export const keyBatchSchema = Type.Object(
  { keys: Type.Array(keyBatchEntrySchema, { minItems: 1, maxItems: 10_000 }) },
  closed,
);

export type KeyPush = Static<typeof keyPushSchema>;
export type KeyBatchEntry = Static<typeof keyBatchEntrySchema>;

/** Hex SHA-256 of a bearer secret: what is stored and compared. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret, 'utf8').digest('hex');
}

/**
 * Parses a pushed key into the registry's key. The environment is the one that the key id names when it is of
 * Tollgate's format, else the given one, else `live`.
 */
export function parseKeyPush(keyId: string, body: unknown): Parsed<Key> {
  const errors: FieldError[] = check(keyPushSchema, body);
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{2,127}$/.test(keyId)) {
    errors.push({
      pointer: '/key_id',
      detail: 'must be 3 to 128 letters, digits, dots, dashes, underscores',
    });
  }
  if (errors.length > 0) return { ok: false, errors };
  const push = body as KeyPush;
  if ((push.sha256 === undefined) === (push.secret === undefined)) {
    return { ok: false, errors: [{ pointer: '', detail: 'needs exactly one of "sha256" and "secret"' }] };
  }
  const named = keyIdPattern.test(keyId) ? (keyId.startsWith('ak_live_') ? 'live' : 'test') : undefined;
  if (named && push.environment && named !== push.environment) {
    return {
      ok: false,
      errors: [{ pointer: '/environment', detail: `must be "${named}", as the key id says` }],
    };
  }
  const expiresAt = push.expires_at ? Date.parse(push.expires_at) : undefined;
  const quota = push.quota && {
    ...optional('burst', push.quota.burst_limit),
    ...optional('sustainedPerMinute', push.quota.sustained_limit),
    ...optional('daily', push.quota.daily_quota),
    ...optional('overage', push.quota.overage_action),
  };
  return {
    ok: true,
    value: {
      id: keyId,
      kind: 'bearer',
      environment: named ?? push.environment ?? 'live',
      status: 'active',
      secrets: [{ sha256: push.sha256 ?? hashSecret(push.secret!) }],
      ...optional('app', push.app),
      ...optional('expiresAt', expiresAt),
      ...optional('scopes', push.scopes),
      ...optional('addresses', push.addresses),
      ...optional('version', push.version),
      ...optional('plan', push.plan),
      ...optional('quota', quota),
    },
  };
}

function optional<K extends string, V>(name: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]?: V });
}

/** Parses a batch; entries that remove a key have `key: null`. Anything wrong refuses the whole batch. */
export function parseKeyBatch(body: unknown): Parsed<{ keyId: string; key: Key | null; name?: string }[]> {
  const shape = check(keyBatchSchema, body);
  if (shape.length > 0) return { ok: false, errors: shape };
  const errors: FieldError[] = [];
  const value: { keyId: string; key: Key | null; name?: string }[] = [];
  (body as { keys: KeyBatchEntry[] }).keys.forEach((entry, index) => {
    const { key_id: keyId, delete: removed, ...push } = entry;
    if (removed) {
      value.push({ keyId, key: null });
      return;
    }
    const parsed = parseKeyPush(keyId, push);
    if (parsed.ok) value.push({ keyId, key: parsed.value, ...optional('name', push.name) });
    else errors.push(...parsed.errors.map((e) => ({ ...e, pointer: `/keys/${index}${e.pointer}` })));
  });
  return errors.length > 0 ? { ok: false, errors } : { ok: true, value };
}
