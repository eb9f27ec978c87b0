import { parseDeltaSeconds } from './delta-seconds.ts';
import { joinedField, splitList, unquote } from './fields.ts';

/**
 * What a response says about caching (RFC 9111 section 5.2.2, RFC 5861), from Cache-Control or from a targeted field.
 * Times are in seconds. A freshness directive whose argument is not valid is 0, that is stale (section 4.2.1).
 */
export interface ResponseDirectives {
  noStore: boolean;
  /** Without field names. */
  noCache: boolean;
  /** Lower-case names of `no-cache="…"`: not to be reused without validation. */
  noCacheFields: readonly string[];
  /** Without field names. */
  isPrivate: boolean;
  /** Lower-case names of `private="…"`: not to be stored. */
  privateFields: readonly string[];
  isPublic: boolean;
  mustRevalidate: boolean;
  proxyRevalidate: boolean;
  mustUnderstand: boolean;
  maxAge: number | null;
  sMaxage: number | null;
  staleWhileRevalidate: number | null;
  staleIfError: number | null;
}

/** What a request asks of caches (RFC 9111 section 5.2.1). Times are in seconds. */
export interface RequestDirectives {
  noStore: boolean;
  noCache: boolean;
  onlyIfCached: boolean;
  maxAge: number | null;
  minFresh: number | null;
  /** Infinity without an argument. */
  maxStale: number | null;
}

/** One directive: name in lower case; `argument` undefined when it has none, null when what follows is not valid. */
export interface Directive {
  readonly name: string;
  readonly argument: string | undefined | null;
}

/**
 * Splits Cache-Control into directives. The argument may be a token or a quoted string whatever the directive defines
 * (section 5.2). White space before or after "=" is not in the grammar, so it makes the argument invalid. Null when
 * the whole cannot be parsed (a quoted string that does not end).
 */
export function parseDirectives(value: string): Directive[] | null {
  const members = splitList(value);
  if (members === null) return null;
  const directives: Directive[] = [];
  for (const member of members) {
    const equals = member.indexOf('=');
    if (equals < 0) {
      directives.push({ name: member.toLowerCase(), argument: undefined });
      continue;
    }
    const rawName = member.slice(0, equals);
    const name = rawName.trimEnd().toLowerCase();
    const rest = member.slice(equals + 1);
    let argument: string | null;
    if (rawName.length !== name.length || rest === '') argument = null;
    else if (rest.startsWith('"')) argument = unquote(rest);
    else argument = /[\s"]/.test(rest) ? null : rest;
    directives.push({ name, argument });
  }
  return directives;
}

export function emptyResponseDirectives(): ResponseDirectives {
  return {
    noStore: false,
    noCache: false,
    noCacheFields: [],
    isPrivate: false,
    privateFields: [],
    isPublic: false,
    mustRevalidate: false,
    proxyRevalidate: false,
    mustUnderstand: false,
    maxAge: null,
    sMaxage: null,
    staleWhileRevalidate: null,
    staleIfError: null,
  };
}

/** Cache-Control of a response. A field that cannot be parsed forbids storing. */
export function parseResponseDirectives(headers: readonly string[]): ResponseDirectives {
  const result = emptyResponseDirectives();
  const value = joinedField(headers, 'cache-control');
  if (value === undefined) return result;
  const directives = parseDirectives(value);
  if (directives === null) {
    result.noStore = true;
    return result;
  }
  for (const { name, argument } of directives) applyDirective(result, name, argument);
  return result;
}

/** Adds one directive. Of repeated freshness directives the first counts; of all others the most restrictive. */
export function applyDirective(
  to: ResponseDirectives,
  name: string,
  argument: string | undefined | null,
): void {
  switch (name) {
    case 'no-store':
      to.noStore = true;
      break;
    case 'no-cache': {
      const names = fieldNames(argument);
      if (names === null) to.noCache = true;
      else to.noCacheFields = to.noCacheFields.concat(names);
      break;
    }
    case 'private': {
      const names = fieldNames(argument);
      if (names === null) to.isPrivate = true;
      else to.privateFields = to.privateFields.concat(names);
      break;
    }
    case 'public':
      // This one permits, so it has to be exactly what the RFC defines.
      if (argument === undefined) to.isPublic = true;
      break;
    case 'must-revalidate':
      to.mustRevalidate = true;
      break;
    case 'proxy-revalidate':
      to.proxyRevalidate = true;
      break;
    case 'must-understand':
      if (argument === undefined) to.mustUnderstand = true;
      break;
    case 'max-age':
      to.maxAge ??= seconds(argument) ?? 0;
      break;
    case 's-maxage':
      to.sMaxage ??= seconds(argument) ?? 0;
      break;
    case 'stale-while-revalidate':
      to.staleWhileRevalidate ??= seconds(argument) ?? 0;
      break;
    case 'stale-if-error':
      to.staleIfError ??= seconds(argument) ?? 0;
      break;
  }
}

/** Field names of an argument; null (the directive covers the whole response) when it names none. */
function fieldNames(argument: string | undefined | null): string[] | null {
  if (argument === undefined || argument === null) return null;
  const names = argument
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  return names.length === 0 ? null : names;
}

function seconds(argument: string | undefined | null): number | null {
  return argument === undefined || argument === null ? null : parseDeltaSeconds(argument);
}

const none: RequestDirectives = Object.freeze({
  noStore: false,
  noCache: false,
  onlyIfCached: false,
  maxAge: null,
  minFresh: null,
  maxStale: null,
});

/**
 * Cache-Control of a request, or Pragma where there is no Cache-Control. Repeated and invalid values count as their
 * most demanding reading: an invalid max-age is 0, an invalid max-stale is none.
 */
export function parseRequestDirectives(headers: readonly string[]): RequestDirectives {
  let control: string | undefined;
  let pragma: string | undefined;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (name === 'cache-control')
      control = control === undefined ? headers[i + 1]! : `${control}, ${headers[i + 1]!}`;
    else if (name === 'pragma')
      pragma = pragma === undefined ? headers[i + 1]! : `${pragma}, ${headers[i + 1]!}`;
  }
  if (control === undefined) {
    if (pragma === undefined) return none;
    const listed = parseDirectives(pragma) ?? [];
    return listed.some(({ name }) => name === 'no-cache') ? { ...none, noCache: true } : none;
  }
  const result: RequestDirectives = { ...none };
  const directives = parseDirectives(control);
  if (directives === null) {
    result.noCache = true;
    return result;
  }
  let stale: number | null | undefined;
  for (const { name, argument } of directives) {
    switch (name) {
      case 'no-store':
        result.noStore = true;
        break;
      case 'no-cache':
        result.noCache = true;
        break;
      case 'only-if-cached':
        result.onlyIfCached = true;
        break;
      case 'max-age':
        result.maxAge = Math.min(result.maxAge ?? Infinity, seconds(argument) ?? 0);
        break;
      case 'min-fresh':
        result.minFresh = Math.max(result.minFresh ?? 0, seconds(argument) ?? 0);
        break;
      case 'max-stale': {
        const allowed = argument === undefined ? Infinity : seconds(argument);
        stale = allowed === null || stale === null ? null : Math.min(stale ?? Infinity, allowed);
        break;
      }
    }
  }
  result.maxStale = stale ?? null;
  return result;
}
