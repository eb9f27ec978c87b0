import Type, { type Static } from 'typebox';
import type { FieldError } from './problems.ts';
import { check, type Parsed } from './validation.ts';

/** What to remove from the response caches. `soft` keeps it for validation and for stale-while-revalidate. */
export const purgeSchema = Type.Object(
  {
    kind: Type.Union(
      [Type.Literal('url'), Type.Literal('prefix'), Type.Literal('key'), Type.Literal('all')],
      {
        description:
          'What value is: an address, the beginning of addresses, a surrogate key; all needs none.',
      },
    ),
    value: Type.String({
      maxLength: 8192,
      description: 'http://host/path?query (the scheme does not matter), or a surrogate key. Empty for all.',
    }),
    soft: Type.Boolean(),
  },
  { additionalProperties: false },
);
export type Purge = Static<typeof purgeSchema>;

/** Body of `POST /admin/v1/cache/purge`: exactly one of `url`, `prefix`, `key` and `all`. */
export const purgeRequestSchema = Type.Object(
  {
    url: Type.Optional(Type.String({ minLength: 1, maxLength: 8192 })),
    prefix: Type.Optional(Type.String({ minLength: 1, maxLength: 8192 })),
    key: Type.Optional(
      Type.String({ minLength: 1, maxLength: 1024, description: 'A member of Surrogate-Key or Cache-Tag.' }),
    ),
    all: Type.Optional(Type.Literal(true)),
    soft: Type.Optional(Type.Boolean({ description: 'Make stale instead of removing. Default: false.' })),
  },
  { additionalProperties: false },
);

const kinds = ['url', 'prefix', 'key'] as const;

export function parsePurge(body: unknown): Parsed<Purge> {
  const errors: FieldError[] = check(purgeRequestSchema, body);
  if (errors.length > 0) return { ok: false, errors };
  const { all, soft = false, ...named } = body as Static<typeof purgeRequestSchema>;
  const given = kinds.filter((kind) => named[kind] !== undefined);
  if (given.length + (all ? 1 : 0) !== 1) {
    return {
      ok: false,
      errors: [{ pointer: '', detail: 'must have exactly one of url, prefix, key and all' }],
    };
  }
  if (all) return { ok: true, value: { kind: 'all', value: '', soft } };
  const kind = given[0]!;
  return { ok: true, value: { kind, value: named[kind]!, soft } };
}
