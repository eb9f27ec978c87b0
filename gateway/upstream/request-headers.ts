import type { Consumer } from '#contract/access.ts';
import type { Exchange } from '../exchange.ts';
import type { Upstream } from './client.ts';

/** Decisions about forwarded header fields that configuration makes. */
export interface ForwardedFields {
  readonly preserveHost: boolean;
  /** Name this hop in Via. */
  readonly via: string;
}

/**
 * The header section of the upstream request: what the client sent less hop-by-hop fields (RFC 9110 section 7.6.1),
 * framing, credentials that were meant for the gateway and any claim to an identity, plus this hop's own fields.
 */
export function buildRequestHeaders(
  exchange: Exchange,
  upstream: Upstream,
  options: ForwardedFields,
  extra: readonly string[] | null,
): string[] {
  const result: string[] = ['host', options.preserveHost ? exchange.host : upstream.authority];
  const { headers, connectionFields } = exchange;
  let via = options.via;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const value = headers[i + 1]!;
    switch (name) {
      case 'host':
      case 'connection':
      case 'keep-alive':
      case 'proxy-connection':
      case 'proxy-authorization':
      case 'proxy-authenticate':
      case 'te':
      case 'trailer':
      case 'transfer-encoding':
      case 'content-length':
      case 'upgrade':
      case 'expect':
      case 'http2-settings':
      case 'x-request-id':
      case 'traceparent':
      case 'forwarded':
      case 'x-forwarded-for':
      case 'x-forwarded-host':
      case 'x-forwarded-proto':
      case 'x-forwarded-port':
      case 'x-real-ip':
        continue;
      case 'via':
        via = `${value}, ${via}`;
        continue;
      case 'x-api-key':
        if (exchange.key !== null) continue;
        break;
      case 'authorization':
        if (exchange.hideAuthorization) continue;
        break;
      default:
        if (name.startsWith('x-tollgate-')) continue;
    }
    if (connectionFields?.includes(name)) continue;
    if (extra !== null && names(extra, name)) continue;
    result.push(name, value);
  }
  result.push(
    'via',
    via,
    'x-request-id',
    exchange.requestId,
    'traceparent',
    `00-${exchange.traceId}-${exchange.spanId}-${exchange.traceFlags}`,
    'x-forwarded-for',
    exchange.forwardedFor,
    'x-forwarded-host',
    exchange.forwardedHost,
    'x-forwarded-proto',
    exchange.forwardedProto,
    'forwarded',
    forwardedElement(exchange),
  );
  pushIdentity(result, exchange.consumer);
  if (extra !== null) {
    for (let i = 0; i < extra.length; i += 2) if (extra[i + 1] !== '') result.push(extra[i]!, extra[i + 1]!);
  }
  return result;
}

function pushIdentity(result: string[], consumer: Consumer | null): void {
  if (consumer === null) return;
  if (consumer.keyId !== null) result.push('x-tollgate-key-id', consumer.keyId);
  if (consumer.appId !== null) result.push('x-tollgate-app', consumer.appId);
  if (consumer.accountId !== null) result.push('x-tollgate-account', consumer.accountId);
  if (consumer.environment !== null) result.push('x-tollgate-environment', consumer.environment);
  if (consumer.subject !== null) result.push('x-tollgate-subject', consumer.subject);
}

function names(headers: readonly string[], name: string): boolean {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return true;
  return false;
}

/** RFC 7239; addresses of version 6 are bracketed and quoted. */
function forwardedElement(exchange: Exchange): string {
  const address = exchange.remoteAddress;
  const node = address.includes(':') ? `"[${address}]"` : address;
  const element = `for=${node};host="${exchange.host}";proto=${exchange.secure ? 'https' : 'http'}`;
  const before = exchange.forwardedBefore;
  return before === null ? element : `${before}, ${element}`;
}
