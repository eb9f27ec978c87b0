import Type from 'typebox';
import { objectSchemas } from '#contract/registry.ts';
import { type DeclaredKind, declaredKinds, sectionOf } from '#contract/sections.ts';
import { pageOf } from '../http/pagination.ts';

const closed = { additionalProperties: false } as const;
const revision = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const action = Type.Union([Type.Literal('create'), Type.Literal('update'), Type.Literal('delete')]);
const anyObject = Type.Object({}, { additionalProperties: true });

/** Lists by section, checked in depth by the contract and not here, so that errors come with hints. */
const looseSections = Type.Object(
  Object.fromEntries(
    declaredKinds.map((kind) => [
      sectionOf(kind),
      Type.Optional(Type.Array(Type.Unknown(), { maxItems: 100_000 })),
    ]),
  ),
  { ...closed, examples: [{ services: [], routes: [], versions: [], plans: [] }] },
);

/** What a reply shows: each list has objects of its kind. */
export const sectionsSchema = Type.Unsafe<Record<string, unknown[]>>(
  Type.Object(
    Object.fromEntries(
      declaredKinds.map((kind) => [sectionOf(kind), Type.Optional(Type.Array(objectSchemas[kind]))]),
    ),
  ),
);

export const applyBody = Type.Object(
  {
    resources: looseSections,
    prune: Type.Optional(Type.Boolean({ description: 'Remove what is not listed. Default: false.' })),
    dry_run: Type.Optional(
      Type.Boolean({ description: 'Check and compare, change nothing. Default: false.' }),
    ),
    message: Type.Optional(Type.String({ maxLength: 500, pattern: '^[^\\u0000]*$' })),
    expected_revision: Type.Optional(revision),
  },
  closed,
);

export const applyReply = Type.Object({
  revision,
  dry_run: Type.Boolean(),
  changes: Type.Array(
    Type.Object({
      action,
      kind: Type.String(),
      id: Type.String(),
      before: Type.Union([anyObject, Type.Null()]),
      after: Type.Union([anyObject, Type.Null()]),
    }),
  ),
});

export const rollbackBody = Type.Object(
  {
    dry_run: Type.Optional(Type.Boolean()),
    message: Type.Optional(Type.String({ maxLength: 500, pattern: '^[^\\u0000]*$' })),
  },
  closed,
);

export const configurationReply = Type.Object({ revision, resources: sectionsSchema });
const summary = {
  revision,
  created_at: Type.String({ format: 'date-time' }),
  author: Type.String(),
  message: Type.String(),
  changes: Type.Array(Type.Object({ action, kind: Type.String(), id: Type.String() })),
};
export const historyEntry = Type.Object(summary);
export const historyList = pageOf(historyEntry);
export const historyReply = Type.Object({ ...summary, resources: sectionsSchema });
export const revisionParams = Type.Object({
  revision: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
});
export const resourceParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 128 }) });

export const resourceSchemaOf = (kind: DeclaredKind) => objectSchemas[kind];
