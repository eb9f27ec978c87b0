import Type, { type Static } from 'typebox';
import { pageOf } from '../http/pagination.ts';

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const text = (maxLength: number, minLength = 0) =>
  Type.String({ minLength, maxLength, pattern: '^[^\\u0000]*$' });

/** Chooses the account an operator acts on; developers act on their own. */
export const accountParameter = Type.Optional(
  Type.String({
    minLength: 3,
    maxLength: 254,
    pattern: '^[^\\u0000]*$',
    description:
      'For operators: id or e-mail address of the account. For developers: one of several accounts.',
  }),
);

export const appBody = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      maxLength: 100,
      pattern: '^[^\\u0000]*\\S[^\\u0000]*$',
      examples: ['Shop'],
    }),
    description: Type.Optional(text(2000)),
    version: Type.Optional(
      Type.Union([text(64, 1), Type.Null()], { description: 'The API version its requests are pinned to.' }),
    ),
    account: Type.Optional(
      Type.String({
        pattern: '^[^@\\s\\u0000]+@[^@\\s\\u0000]+$',
        maxLength: 254,
        description: 'Operators only: e-mail address of the account, made when there is none.',
      }),
    ),
  },
  closed,
);

export const appChange = Type.Object(
  {
    name: Type.Optional(appBody.properties.name),
    description: appBody.properties.description,
    version: appBody.properties.version,
    plan: Type.Optional(
      Type.Union([text(64, 1), Type.Null()], { description: 'Operators only: the plan of its keys.' }),
    ),
  },
  closed,
);

export const appReply = Type.Object({
  app_id: Type.String({ examples: ['app_5f2c9a0b7d1e4c3a8b6f0d2e'] }),
  name: Type.String(),
  description: Type.String(),
  account_id: Type.String(),
  version: Type.Union([Type.String(), Type.Null()]),
  plan: Type.Union([Type.String(), Type.Null()]),
  created_at: time,
  updated_at: time,
});
export type AppReply = Static<typeof appReply>;

export const appList = pageOf(appReply);
export const appParams = Type.Object({ appId: Type.String({ minLength: 1, maxLength: 128 }) });
