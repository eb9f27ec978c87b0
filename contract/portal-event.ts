import Type, { type Static } from 'typebox';
import { keyPushSchema, parseKeyPush } from './key-push.ts';
import type { FieldError } from './problems.ts';
import type { Key } from './registry.ts';
import { check, type Parsed } from './validation.ts';

/**
 * What an external portal tells a gateway that stands alone (`POST /admin/v1/webhooks/portal`, signed as Standard
 * Webhooks): a key was created, rotated or revoked.
 */

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const { kind, ...push } = keyPushSchema.properties;
void kind;
const keyId = Type.String({ minLength: 3, maxLength: 128 });

const createdSchema = Type.Object({ key_id: keyId, ...push }, closed);
const rotatedSchema = Type.Object(
  {
    key_id: keyId,
    ...push,
    previous_expires_at: Type.Optional(
      Type.Union([time, Type.Null()], {
        description: 'Until when the former secrets stay valid. Default: seven days; null: no longer.',
      }),
    ),
  },
  closed,
);
const revokedSchema = Type.Object(
  { key_id: keyId, reason: Type.Optional(Type.String({ maxLength: 1000 })) },
  closed,
);
const eventSchema = Type.Object({
  type: Type.String({ minLength: 1 }),
  timestamp: time,
  data: Type.Unknown(),
});
const dataSchemas = {
  'key.created': createdSchema,
  'key.rotated': rotatedSchema,
  'key.revoked': revokedSchema,
} as const;

export type PortalEvent =
  | { readonly type: 'key.created'; readonly keyId: string; readonly atMs: number; readonly key: Key }
  | {
      readonly type: 'key.rotated';
      readonly keyId: string;
      readonly atMs: number;
      /** The key with its new secret only. */
      readonly key: Key;
      /** Undefined: the default grace; null: none. */
      readonly previousExpiresAt: number | null | undefined;
    }
  | {
      readonly type: 'key.revoked';
      readonly keyId: string;
      readonly atMs: number;
      readonly reason: string | undefined;
    }
  /** Told of something that does not concern a gateway. */
  | { readonly type: 'other'; readonly name: string };

/** Parses the body of a message. Reports every error at once. */
export function parsePortalEvent(body: unknown): Parsed<PortalEvent> {
  const shape = check(eventSchema, body);
  if (shape.length > 0) return { ok: false, errors: shape };
  const { type, timestamp, data } = body as Static<typeof eventSchema>;
  if (!isKeyEvent(type)) return { ok: true, value: { type: 'other', name: type } };
  const errors: FieldError[] = check(dataSchemas[type], data).map(below);
  if (errors.length > 0) return { ok: false, errors };
  const atMs = Date.parse(timestamp);
  const { key_id: id, ...rest } = data as Static<typeof rotatedSchema>;
  if (type === 'key.revoked') {
    return {
      ok: true,
      value: { type, keyId: id, atMs, reason: (data as Static<typeof revokedSchema>).reason },
    };
  }
  const { previous_expires_at: previous, ...members } = rest;
  const parsed = parseKeyPush(id, members);
  if (!parsed.ok) return { ok: false, errors: parsed.errors.map(below) };
  if (type === 'key.created') return { ok: true, value: { type, keyId: id, atMs, key: parsed.value } };
  const previousExpiresAt = typeof previous === 'string' ? Date.parse(previous) : previous;
  return { ok: true, value: { type, keyId: id, atMs, key: parsed.value, previousExpiresAt } };
}

function isKeyEvent(type: string): type is keyof typeof dataSchemas {
  return Object.hasOwn(dataSchemas, type);
}

function below({ pointer, detail }: FieldError): FieldError {
  return { pointer: `/data${pointer}`, detail };
}
