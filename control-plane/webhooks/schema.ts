import Type, { type Static } from 'typebox';
import { pageOf } from '../http/pagination.ts';
import { type EventType, eventTypes } from './event-types.ts';

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const nullableTime = Type.Union([time, Type.Null()]);
const eventType = Type.Union((Object.keys(eventTypes) as EventType[]).map((name) => Type.Literal(name)));

const url = Type.String({ maxLength: 2000, pattern: '^https?://[^\\s\\u0000]+$' });
const description = Type.String({ maxLength: 500, pattern: '^[^\\u0000]*$' });
const types = Type.Array(eventType, { maxItems: 50, uniqueItems: true, description: 'Empty: all.' });

export const endpointBody = Type.Object(
  {
    url,
    description: Type.Optional(description),
    event_types: Type.Optional(types),
    account: Type.Optional(
      Type.String({ maxLength: 254, description: 'Operators only: e-mail address of the account.' }),
    ),
  },
  closed,
);
export const endpointChange = Type.Object(
  {
    url: Type.Optional(url),
    description: Type.Optional(description),
    event_types: Type.Optional(types),
    status: Type.Optional(Type.Union([Type.Literal('enabled'), Type.Literal('disabled')])),
  },
  closed,
);
export const rotationBody = Type.Object(
  {
    grace_hours: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 720,
        default: 24,
        description: 'How long the old secret signs too.',
      }),
    ),
  },
  closed,
);
export const endpointParams = Type.Object({ endpointId: Type.String({ maxLength: 64 }) });
export const deliveryParams = Type.Object({
  endpointId: Type.String({ maxLength: 64 }),
  deliveryId: Type.String({ maxLength: 64 }),
});

export const endpointReply = Type.Object({
  endpoint_id: Type.String(),
  account_id: Type.String(),
  url: Type.String(),
  description: Type.String(),
  event_types: Type.Array(Type.String()),
  status: Type.String(),
  disabled_reason: Type.Union([Type.String(), Type.Null()]),
  failing_since: nullableTime,
  created_at: time,
  updated_at: time,
});
export const endpointSecretReply = Type.Interface([endpointReply], {
  secret: Type.String({ description: 'Shown now and not again.', examples: ['whsec_…'] }),
});
export const deliveryReply = Type.Object({
  delivery_id: Type.String(),
  event_id: Type.String({ description: 'Sent as `webhook-id`; the same for every attempt and resend.' }),
  type: Type.String(),
  status: Type.String(),
  attempts: Type.Integer(),
  next_attempt_at: nullableTime,
  created_at: time,
  finished_at: nullableTime,
});
export const deliveryList = pageOf(deliveryReply);
export const deliveryDetail = Type.Interface([deliveryReply], {
  log: Type.Array(
    Type.Object({
      attempted_at: time,
      duration_ms: Type.Number(),
      status: Type.Union([Type.Integer(), Type.Null()]),
      error: Type.Union([Type.String(), Type.Null()]),
      request_excerpt: Type.String(),
      response_excerpt: Type.Union([Type.String(), Type.Null()]),
    }),
  ),
});

export type EndpointReply = Static<typeof endpointReply>;
export type DeliveryReply = Static<typeof deliveryReply>;
