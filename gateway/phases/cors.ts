import type { Cors } from '#contract/access.ts';
import type { RouteContext } from '../compile.ts';
import type { Exchange } from '../exchange.ts';
import { answered, type Phase, type ResponsePhase } from '../pipeline.ts';
import { refusal } from '../refusal.ts';

const defaultMaxAgeSeconds = 600;
/** What browsers may read besides the body when the configuration names nothing. */
const defaultExposed =
  'RateLimit, RateLimit-Policy, Retry-After, X-Request-Id, Deprecation, Sunset, Link, Warning, API-Version';

/** Answers CORS preflights (Fetch standard), before authentication: browsers send them without credentials. */
export function cors({ route }: RouteContext): Phase | null {
  const rules = route.cors;
  if (rules === undefined) return null;
  const methods = (rules.methods ?? route.methods)?.join(', ') ?? null;
  const fields = rules.headers?.join(', ') ?? null;
  const maxAge = String(rules.maxAgeSeconds ?? defaultMaxAgeSeconds);
  const allows = allowsOrigin(rules);
  return (exchange) => {
    if (exchange.method !== 'OPTIONS') return undefined;
    const origin = exchange.header('origin');
    const method = exchange.header('access-control-request-method');
    if (origin === undefined || method === undefined) return undefined;
    if (!allows(origin)) return refusal('origin_not_allowed');
    const headers = [
      ...['Access-Control-Allow-Methods', methods ?? method],
      ...[
        'Access-Control-Max-Age',
        maxAge,
        'Vary',
        'Access-Control-Request-Method, Access-Control-Request-Headers',
      ],
    ];
    const asked = fields ?? exchange.header('access-control-request-headers');
    if (asked !== undefined) headers.push('Access-Control-Allow-Headers', asked);
    exchange.answer(204, headers, null);
    return answered;
  };
}

/** Tells browsers who may read the response, in place of what the service says of it. */
export function decorateCors({ route }: RouteContext): ResponsePhase | null {
  const rules = route.cors;
  if (rules === undefined) return null;
  const allows = allowsOrigin(rules);
  const anyone = rules.origins.includes('*');
  const credentials = rules.credentials === true && !anyone;
  const exposed = rules.exposeHeaders?.join(', ') ?? defaultExposed;
  return (exchange) => {
    const headers = exchange.responseHeaders;
    dropAnswers(headers);
    if (!anyone) headers.push('Vary', 'Origin');
    const origin = exchange.header('origin');
    if (origin === undefined || !allows(origin)) return;
    headers.push('Access-Control-Allow-Origin', anyone ? '*' : origin);
    if (credentials) headers.push('Access-Control-Allow-Credentials', 'true');
    if (!isPreflight(exchange)) headers.push('Access-Control-Expose-Headers', exposed);
  };
}

/** `*` alone; otherwise origins as browsers send them, compared whole. */
function allowsOrigin({ origins }: Cors): (origin: string) => boolean {
  if (origins.includes('*')) return () => true;
  const known = new Set(origins.map((origin) => origin.toLowerCase()));
  return (origin) => known.has(origin.toLowerCase());
}

function isPreflight(exchange: Exchange): boolean {
  return exchange.method === 'OPTIONS' && exchange.header('access-control-request-method') !== undefined;
}

/** What the service itself says of CORS, in lower case as all names of its answers. */
function dropAnswers(headers: string[]): void {
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    if (headers[i]!.startsWith('access-control-')) headers.splice(i, 2);
  }
}
