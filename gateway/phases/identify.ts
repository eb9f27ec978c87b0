import { randomBytes } from 'node:crypto';
import type { Exchange } from '../exchange.ts';
import type { AddressSet } from '../routing/addresses.ts';
import { hasDotSegments, normalizePath } from '../routing/path.ts';
import { randomIds } from './random-ids.ts';

const traceparentPattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const zeroTrace = '0'.repeat(32);
const zeroSpan = '0'.repeat(16);

/**
 * Names the request (X-Request-Id), continues or begins its trace (W3C Trace Context), finds the client's address
 * and the path that routes are matched on. Fields about earlier hops are believed only from trusted proxies.
 */
export function identify(trusted: AddressSet | null): (exchange: Exchange) => void {
  const prefix = randomBytes(8).toString('hex');
  let counter = 0;
  return (exchange) => {
    counter++;
    exchange.requestId = prefix + (counter + 0x1_0000_0000).toString(16);
    const ids = randomIds();
    exchange.spanId = ids.slice(32);
    let trace = '';
    let forwardedFor: string | null = null;
    const peerTrusted = trusted?.has(exchange.remoteAddress) ?? false;
    const { headers } = exchange;
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!;
      if (name === 'traceparent') {
        const match = traceparentPattern.exec(headers[i + 1]!);
        if (match && match[1] !== zeroTrace && match[2] !== zeroSpan) {
          trace = match[1]!;
          exchange.parentSpanId = match[2]!;
          exchange.traceFlags = match[3]!;
        }
      } else if (peerTrusted) {
        const value = headers[i + 1]!;
        if (name === 'x-forwarded-for')
          forwardedFor = forwardedFor === null ? value : `${forwardedFor}, ${value}`;
        else if (name === 'x-forwarded-proto') exchange.forwardedProto = value;
        else if (name === 'x-forwarded-host') exchange.forwardedHost = value;
        else if (name === 'forwarded') exchange.forwardedBefore = value;
        else if (name === 'x-request-id' && /^[A-Za-z0-9._:/+=@-]{1,128}$/.test(value))
          exchange.requestId = value;
      }
    }
    exchange.traceId = trace === '' ? ids.slice(0, 32) : trace;
    if (forwardedFor === null) exchange.forwardedFor = exchange.remoteAddress;
    else {
      exchange.forwardedFor = `${forwardedFor}, ${exchange.remoteAddress}`;
      exchange.clientIp = clientOf(forwardedFor, trusted!, exchange.remoteAddress);
    }
    const { path } = exchange;
    if (path.includes('%') || path.includes('/.')) {
      exchange.routePath = normalizePath(path);
      if (hasDotSegments(path)) exchange.forwardPath = exchange.routePath;
    }
  };
}

/** The right-most address that is not a trusted proxy; anything left of it may be made up. */
function clientOf(list: string, trusted: AddressSet, peer: string): string {
  const hops = list.split(',');
  let client = peer;
  for (let i = hops.length - 1; i >= 0; i--) {
    const hop = hops[i]!.trim();
    if (!/^[0-9A-Fa-f:.]{2,45}$/.test(hop)) return client;
    client = hop;
    if (!trusted.has(hop)) return client;
  }
  return client;
}
