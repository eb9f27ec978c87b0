import { parseList, serializeBare, Token } from '#contract/structured-fields.ts';
import { joinedField } from './fields.ts';

/** Why a request went forward (RFC 9211 section 2.2). */
export type ForwardReason =
  | 'bypass'
  | 'method'
  | 'uri-miss'
  | 'vary-miss'
  | 'miss'
  | 'request'
  | 'stale'
  | 'partial';

/** One member of Cache-Status: how one cache handled the request. */
export interface CacheStatus {
  readonly cache: string;
  readonly hit?: boolean;
  readonly fwd?: ForwardReason | string;
  readonly fwdStatus?: number;
  /** Seconds of freshness left; negative when stale. */
  readonly ttl?: number;
  readonly stored?: boolean;
  readonly collapsed?: boolean;
  readonly key?: string;
  readonly detail?: string;
}

/** The name of this cache in Cache-Status. */
export const cacheName = 'tollgate';

const tokenPattern = /^[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*$/;

/** A String; characters outside of printable ASCII are replaced by "?". */
function serializeString(text: string): string {
  return serializeBare(text.replace(/[^\x20-\x7e]/g, '?'));
}

/** One member as a Structured Field item. */
export function serializeCacheStatus(status: CacheStatus): string {
  let text = tokenPattern.test(status.cache) ? status.cache : serializeString(status.cache);
  if (status.hit) text += '; hit';
  if (status.fwd !== undefined) text += `; fwd=${status.fwd}`;
  if (status.fwdStatus !== undefined) text += `; fwd-status=${status.fwdStatus}`;
  if (status.ttl !== undefined) text += `; ttl=${status.ttl}`;
  if (status.stored) text += '; stored';
  if (status.collapsed) text += '; collapsed';
  if (status.key !== undefined) text += `; key=${serializeString(status.key)}`;
  if (status.detail !== undefined) {
    text += `; detail=${tokenPattern.test(status.detail) ? status.detail : serializeString(status.detail)}`;
  }
  return text;
}

/** The members of a Cache-Status field, nearest to the origin first; null when it is absent or not valid. */
export function parseCacheStatus(headers: readonly string[]): CacheStatus[] | null {
  const value = joinedField(headers, 'cache-status');
  const items = value === undefined ? null : parseList(value);
  if (items === null) return null;
  const statuses: CacheStatus[] = [];
  for (const item of items) {
    if ('items' in item) return null;
    const { value: name, parameters } = item;
    if (!(name instanceof Token) && typeof name !== 'string') return null;
    const text = (key: string): string | undefined => {
      const found = parameters.get(key);
      if (found instanceof Token) return found.text;
      return typeof found === 'string' ? found : undefined;
    };
    const integer = (key: string): number | undefined => {
      const found = parameters.get(key);
      return typeof found === 'number' ? found : undefined;
    };
    const flag = (key: string): boolean | undefined => {
      const found = parameters.get(key);
      return typeof found === 'boolean' ? found : undefined;
    };
    const member: Record<string, unknown> = { cache: typeof name === 'string' ? name : name.text };
    const put = (key: string, found: unknown): void => {
      if (found !== undefined) member[key] = found;
    };
    put('hit', flag('hit'));
    put('fwd', text('fwd'));
    put('fwdStatus', integer('fwd-status'));
    put('ttl', integer('ttl'));
    put('stored', flag('stored'));
    put('collapsed', flag('collapsed'));
    put('key', text('key'));
    put('detail', text('detail'));
    statuses.push(member as unknown as CacheStatus);
  }
  return statuses;
}
