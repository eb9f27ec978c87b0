import Type, { type Static } from 'typebox';
import { pageOf } from '../http/pagination.ts';

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const name = Type.String({ minLength: 1, maxLength: 100, pattern: '^[^\\u0000]*\\S[^\\u0000]*$' });
export const emailAddress = Type.String({
  maxLength: 254,
  pattern: '^[^@\\s\\u0000]+@[^@\\s\\u0000]+$',
  examples: ['dev@example.com'],
});
const role = Type.Union([Type.Literal('owner'), Type.Literal('developer'), Type.Literal('viewer')]);
const status = Type.Union([Type.Literal('active'), Type.Literal('suspended')]);

export const accountReply = Type.Object({
  account_id: Type.String(),
  email: Type.String(),
  name: Type.String(),
  status,
  created_at: time,
  updated_at: time,
});
export type AccountReply = Static<typeof accountReply>;
export const membershipReply = Type.Object({ ...accountReply.properties, role });
export const accountList = pageOf(accountReply);
export const accountParams = Type.Object({ accountId: Type.String({ minLength: 1, maxLength: 128 }) });
export const accountBody = Type.Object({ email: emailAddress, name: Type.Optional(name) }, closed);
export const accountChange = Type.Object({ name: Type.Optional(name) }, closed);
export const accountAdministration = Type.Object(
  { name: Type.Optional(name), status: Type.Optional(status) },
  { ...closed, description: 'The keys of a suspended account are refused by every gateway.' },
);

export const memberReply = Type.Object({
  user_id: Type.Union([Type.String(), Type.Null()], { description: 'null: invited, has not signed in yet.' }),
  email: Type.Union([Type.String(), Type.Null()]),
  name: Type.Union([Type.String(), Type.Null()]),
  role,
  state: Type.Union([Type.Literal('member'), Type.Literal('invited')]),
  since: time,
});
export const memberList = Type.Object({ data: Type.Array(memberReply) });
export const memberParams = Type.Object({ userId: Type.String({ minLength: 1, maxLength: 128 }) });
export const invitationBody = Type.Object({ email: emailAddress, role }, closed);
export const invitationParams = Type.Object({ email: emailAddress });
export const roleBody = Type.Object({ role }, closed);
