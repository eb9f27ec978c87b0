import Type from 'typebox';
import { pageOf } from '../http/pagination.ts';

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const environment = Type.Union([Type.Literal('test'), Type.Literal('live')]);
const text = (maxLength: number) => Type.String({ maxLength, pattern: '^[^\\u0000]*$' });
const audiences = Type.Array(Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000]*$' }), {
  maxItems: 50,
});

export const accessRequestBody = Type.Object(
  { environment: Type.Literal('live'), reason: Type.Optional(text(2000)) },
  closed,
);
export const approvalBody = Type.Object(
  { note: Type.Optional(text(2000)), audiences: Type.Optional(audiences) },
  { ...closed, description: 'Audiences are what tokens of the app may be for.' },
);
export const refusalBody = Type.Object({ note: Type.Optional(text(2000)) }, closed);
export const grantBody = Type.Object({ audiences: Type.Optional(audiences) }, closed);

export const accessRequestReply = Type.Object({
  request_id: Type.String(),
  app_id: Type.String(),
  account_id: Type.String(),
  environment,
  status: Type.Union([Type.Literal('pending'), Type.Literal('approved'), Type.Literal('refused')]),
  reason: Type.String(),
  requested_by: Type.String(),
  note: Type.Union([Type.String(), Type.Null()]),
  decided_by: Type.Union([Type.String(), Type.Null()]),
  created_at: time,
  decided_at: Type.Union([time, Type.Null()]),
});
export const accessRequestList = pageOf(accessRequestReply);
export const environmentList = Type.Object({
  data: Type.Array(
    Type.Object({
      environment,
      audiences: Type.Array(Type.String()),
      granted_by: Type.Union([Type.String(), Type.Null()]),
      granted_at: Type.Union([time, Type.Null()]),
    }),
  ),
});
export const appParams = Type.Object({ appId: Type.String({ minLength: 1, maxLength: 128 }) });
export const requestParams = Type.Object({ requestId: Type.String({ minLength: 1, maxLength: 128 }) });
export const grantParams = Type.Object({
  appId: Type.String({ minLength: 1, maxLength: 128 }),
  environment: Type.Literal('live'),
});
export const statusFilter = Type.Optional(
  Type.Union([Type.Literal('pending'), Type.Literal('approved'), Type.Literal('refused')]),
);
