import type { Version } from '#contract/versions.ts';
import type { RouteContext } from '../compile.ts';
import type { Dependencies } from '../dependencies.ts';
import type { Exchange } from '../exchange.ts';
import type { ResponsePhase } from '../pipeline.ts';
import { readTimes, stateAt, type VersionTimes } from '../routing/version-state.ts';

/**
 * Names the version on its responses and, once it is deprecated or that is announced, says so: `Deprecation`
 * (RFC 9745), `Sunset` (RFC 8594), `Link` to the migration guide and to the same resource of the successor, `Warning`
 * 299 and, while brownouts are ahead, `X-Brownout` with their times.
 */
export function decorateVersion(
  { route, version, versions }: RouteContext,
  { now }: Dependencies,
): ResponsePhase | null {
  if (version === null) return null;
  const times = readTimes(version);
  const name = ['API-Version', version.id];
  const isAnnounced =
    version.state !== 'active' || times.deprecatedAtMs !== null || version.sunsetAt !== undefined;
  if (!isAnnounced) {
    return (exchange) => {
      exchange.responseHeaders.push('API-Version', version.id);
    };
  }
  const fixed = [...name, ...announcement(version, times, now())];
  const successor = version.successor === undefined ? null : (versions.get(version.successor) ?? null);
  const linkSuccessor = successor === null ? null : successorLink(route.path, version.id, successor);
  return (exchange) => {
    const headers = exchange.responseHeaders;
    for (const item of fixed) headers.push(item);
    if (linkSuccessor !== null) {
      const link = linkSuccessor(exchange);
      if (link !== null) headers.push('Link', link);
    }
    const ahead = times.brownouts.length === 0 ? '' : brownoutsAhead(times, now());
    if (ahead !== '') headers.push('X-Brownout', ahead);
  };
}

function announcement(version: Version, times: VersionTimes, nowMs: number): string[] {
  const { id, successor, documentation } = version;
  const since = times.deprecatedAtMs ?? Math.min(nowMs, times.sunsetAtMs);
  const headers = ['Deprecation', `@${Math.floor(since / 1000)}`];
  let text = `Version ${id} is deprecated`;
  if (stateAt(version, times, nowMs) === 'active') text = `Version ${id} will be deprecated`;
  if (times.sunsetAtMs < Number.POSITIVE_INFINITY) {
    const sunset = new Date(times.sunsetAtMs).toUTCString();
    headers.push('Sunset', sunset);
    text += ` and its sunset is ${sunset}`;
  }
  if (successor !== undefined) text += `; use ${successor}`;
  headers.push('Warning', `299 - ${JSON.stringify(text)}`);
  if (documentation !== undefined) {
    const address = documentation.replace(/[<>\s]/g, encodeURIComponent);
    const ending = times.sunsetAtMs < Number.POSITIVE_INFINITY ? `, <${address}>; rel="sunset"` : '';
    headers.push('Link', `<${address}>; rel="deprecation"${ending}`);
  }
  return headers;
}

/** The same resource of the successor, where the version is a segment of the route's path; else its guide. */
function successorLink(
  routePath: string,
  id: string,
  successor: Version,
): ((exchange: Exchange) => string | null) | null {
  const segments = routePath.split('/');
  const index = segments.indexOf(id);
  if (index < 0) {
    const { documentation } = successor;
    if (documentation === undefined) return null;
    const link = `<${documentation.replace(/[<>\s]/g, encodeURIComponent)}>; rel="successor-version"`;
    return () => link;
  }
  const before = `${segments.slice(0, index).join('/')}/`;
  const after = before.length + id.length;
  return ({ routePath: path }) =>
    path.startsWith(before) && !/[<>"\\]/.test(path)
      ? `<${before}${successor.id}${path.slice(after)}>; rel="successor-version"`
      : null;
}

function brownoutsAhead({ brownouts }: VersionTimes, nowMs: number): string {
  return brownouts
    .filter(({ toMs }) => toMs > nowMs)
    .map(({ fromMs, toMs }) => `${new Date(fromMs).toISOString()}/${new Date(toMs).toISOString()}`)
    .join(', ');
}
