import { tokenLower } from './grammar.ts';

interface NameSource {
  readonly bytes: Uint8Array;
  readonly base: number;
  readonly text: string;
}

interface Entry {
  readonly name: string;
  readonly codes: Uint8Array;
}

/** Field names that are met often; they are handed out as these very strings, so that comparing them is cheap. */
const known =
  'accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials ' +
  'access-control-allow-headers access-control-allow-methods access-control-allow-origin ' +
  'access-control-expose-headers access-control-max-age access-control-request-headers ' +
  'access-control-request-method age allow alt-svc authorization baggage cache-control cache-status ' +
  'cdn-cache-control cf-connecting-ip cf-ray clear-site-data connection content-digest content-disposition ' +
  'content-encoding content-language content-length content-location content-range content-security-policy ' +
  'content-type cookie cross-origin-embedder-policy cross-origin-opener-policy cross-origin-resource-policy ' +
  'date deprecation dnt early-data etag expect expires forwarded from host http2-settings ' +
  'idempotency-key if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive ' +
  'last-modified link location max-forwards nel origin permissions-policy pragma priority ' +
  'proxy-authenticate proxy-authorization proxy-connection range ratelimit ratelimit-policy referer ' +
  'referrer-policy repr-digest report-to reporting-endpoints retry-after save-data sec-ch-ua ' +
  'sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user ' +
  'sec-websocket-accept sec-websocket-extensions sec-websocket-key sec-websocket-protocol ' +
  'sec-websocket-version server server-timing set-cookie signature signature-input strict-transport-security ' +
  'sunset surrogate-control te timing-allow-origin traceparent tracestate trailer transfer-encoding ' +
  'upgrade upgrade-insecure-requests user-agent vary via want-content-digest warning www-authenticate ' +
  'x-api-key x-api-secret x-api-version x-application-id x-consumer-id x-content-type-options x-correlation-id ' +
  'x-dns-prefetch-control x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto ' +
  'x-frame-options x-powered-by x-ratelimit-limit x-ratelimit-remaining x-ratelimit-reset x-real-ip ' +
  'x-request-id x-requested-with x-response-time x-robots-tag x-tenant-id x-xss-protection';

const slots = 1024;
const mask = slots - 1;
const table: Entry[][] = Array.from({ length: slots }, () => []);

/** The hash that the field parser computes over lower-case codes as it scans a name. */
export function hashName(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0;
  return hash;
}

for (const name of known.split(' '))
  table[slotOf(hashName(name))]!.push({ name, codes: Uint8Array.from(name, (c) => c.charCodeAt(0)) });

function slotOf(hash: number): number {
  return (hash ^ (hash >>> 15)) & mask;
}

/**
 * The name in lower case that stands at `bytes[start, end)` of a text. All of it has to be token characters; `hash` is
 * that of its lower-case codes.
 */
export function internName(source: NameSource, start: number, end: number, hash: number): string {
  const bucket = table[slotOf(hash)]!;
  const length = end - start;
  for (let b = 0; b < bucket.length; b++) {
    const entry = bucket[b]!;
    if (entry.codes.length === length && equalsLower(entry.codes, source.bytes, start)) return entry.name;
  }
  return source.text.slice(start - source.base, end - source.base).toLowerCase();
}

function equalsLower(codes: Uint8Array, bytes: Uint8Array, start: number): boolean {
  for (let i = 0; i < codes.length; i++) if (tokenLower[bytes[start + i]!] !== codes[i]) return false;
  return true;
}
