import { randomBytes } from 'node:crypto';
import type { Context } from '../context.ts';
import { invalid } from '../http/problem.ts';
import { AddressRefused, createAddressCheck, refuseLiteral } from './addresses.ts';
import type { EndpointRow, SealedSecret } from './queries.ts';
import type { EndpointReply } from './schema.ts';

export function mintEndpointId(): string {
  return `whe_${randomBytes(12).toString('hex')}`;
}

/** A signing secret in the form of Standard Webhooks. */
export function mintWebhookSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

export async function sealWebhookSecret(context: Context, id: string, secret: string): Promise<SealedSecret> {
  return await context.secrets.seal(id, secret);
}

/** Refuses addresses that deliveries could never go to; names are judged when they are connected to. */
export function checkUrl({ config }: Context, text: string): void {
  const refuse = (detail: string) => invalid([{ pointer: '/url', detail }]);
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw refuse('must be an absolute address');
  }
  const { allowedNetworks } = config.webhooks;
  if (url.protocol === 'http:' && allowedNetworks.length === 0) throw refuse('must begin with https://');
  if (url.username !== '' || url.password !== '') throw refuse('must not contain credentials');
  if (url.hash !== '') throw refuse('must not have a fragment');
  try {
    refuseLiteral(url, createAddressCheck(allowedNetworks));
  } catch (error) {
    if (error instanceof AddressRefused) throw refuse('must not be in a private or special network');
    throw error;
  }
}

export function presentEndpoint(row: EndpointRow): EndpointReply {
  return {
    endpoint_id: row.id,
    account_id: row.account_id,
    url: row.url,
    description: row.description,
    event_types: row.event_types,
    status: row.status,
    disabled_reason: row.disabled_reason,
    failing_since: row.failing_since?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
