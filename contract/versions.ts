import Type, { type Static } from 'typebox';

/** Life cycle of an API version. Times are RFC 3339. */
export const versionSchema = Type.Object(
  {
    id: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$' }),
    state: Type.Union([Type.Literal('active'), Type.Literal('deprecated'), Type.Literal('sunset')]),
    deprecatedAt: Type.Optional(Type.String({ format: 'date-time' })),
    sunsetAt: Type.Optional(Type.String({ format: 'date-time' })),
    successor: Type.Optional(Type.String({ description: 'Id of the version to migrate to.' })),
    documentation: Type.Optional(Type.String({ description: 'Address of the migration guide.' })),
    enforceSunset: Type.Optional(
      Type.Boolean({ description: 'Refuse with 410 after sunsetAt. Default: false.' }),
    ),
    brownouts: Type.Optional(
      Type.Array(
        Type.Object(
          { from: Type.String({ format: 'date-time' }), to: Type.String({ format: 'date-time' }) },
          { additionalProperties: false },
        ),
      ),
    ),
  },
  { additionalProperties: false },
);
export type Version = Static<typeof versionSchema>;
