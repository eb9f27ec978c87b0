import { isIPv6 } from 'node:net';
import type { Exchange } from '../exchange.ts';
import { callerOnRoute, type LimitSet, type Subjects, scopeIndex } from './limiter.ts';

const bit = {
  key: 1 << scopeIndex.key,
  app: 1 << scopeIndex.app,
  account: 1 << scopeIndex.account,
  route: 1 << scopeIndex.route,
  ip: 1 << scopeIndex.ip,
  subject: 1 << scopeIndex.subject,
  callerOnRoute: 1 << callerOnRoute,
};

/**
 * Writes whom a request counts for into `subjects`. A limit whose scope the request has no value for counts its caller:
 * the key, else the subject of the token, else the address; so that no limit is without a counter.
 */
export function readSubjects(exchange: Exchange, set: LimitSet, routeId: string, subjects: Subjects): void {
  const bits = set.scopeBits;
  const { consumer } = exchange;
  const keyId = exchange.key !== null ? exchange.key.id : consumer === null ? null : consumer.keyId;
  if (bits === bit.key && keyId !== null) {
    subjects[scopeIndex.key] = keyId;
    return;
  }
  const subject = consumer?.subject ?? null;
  const caller = keyId ?? (subject !== null ? `sub:${subject}` : `ip:${addressGroup(exchange.clientIp)}`);
  subjects[scopeIndex.key] = caller;
  subjects[scopeIndex.app] = consumer?.appId ?? caller;
  subjects[scopeIndex.account] = consumer?.accountId ?? caller;
  subjects[scopeIndex.route] = routeId;
  subjects[scopeIndex.ip] = (bits & bit.ip) !== 0 ? `ip:${addressGroup(exchange.clientIp)}` : '';
  subjects[scopeIndex.subject] = subject !== null ? `sub:${subject}` : caller;
  subjects[callerOnRoute] = (bits & bit.callerOnRoute) !== 0 ? `${caller}@${routeId}` : '';
}

/** What counts as one address: an IPv4 address, or the /64 of an IPv6 one, which one customer has to himself. */
export function addressGroup(address: string): string {
  if (!address.includes(':')) return address;
  const mapped = address.toLowerCase().startsWith('::ffff:') && address.includes('.');
  if (mapped) return address.slice(7);
  if (!isIPv6(address)) return address;
  const [head, tail] = address.split('::') as [string, string | undefined];
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':');
    while (groups.length + rest.length < 8) groups.push('0');
  }
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
