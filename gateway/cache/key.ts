import type { CachePolicy } from '#contract/cache.ts';

/** Which part of the query belongs to the key. */
export type QueryRule = NonNullable<CachePolicy['query']>;

/**
 * The resource that a request is about: host and target, its query as the rule says. Equal texts are one resource.
 * Neither part can hold a space, so no two pairs give one text; "#", which no target holds, marks a key that is not the
 * target as it was sent.
 */
export function resourceKey(
  host: string,
  path: string,
  query: string,
  target: string,
  rule: QueryRule,
): string {
  if (rule === 'all') return `${host} ${target}`;
  const kept = rule === 'none' ? '' : selectQuery(query, rule);
  return kept === '' ? `${host} ${path}#` : `${host} ${path}?${kept}#`;
}

/**
 * The query under a rule: "sorted" orders the parameters by their text (repeated names keep their order), a list keeps
 * only the named ones, sorted. Names are compared percent-decoded; what is kept stays as it was sent.
 */
export function selectQuery(query: string, rule: Exclude<QueryRule, 'all' | 'none'>): string {
  if (query === '') return '';
  const parameters: { name: string; text: string; index: number }[] = [];
  const pieces = query.split('&');
  for (let index = 0; index < pieces.length; index++) {
    const text = pieces[index]!;
    if (text === '') continue;
    const equals = text.indexOf('=');
    const name = decode(equals < 0 ? text : text.slice(0, equals));
    if (rule !== 'sorted' && !rule.includes(name)) continue;
    parameters.push({ name, text, index });
  }
  parameters.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.index - b.index));
  return parameters.map(({ text }) => text).join('&');
}

function decode(name: string): string {
  if (!name.includes('%') && !name.includes('+')) return name;
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    return name;
  }
}

/**
 * Request fields that change what some upstreams answer although nothing names them in Vary. A request that carries
 * one is never stored or shared, so that it cannot poison what others are given.
 */
export const poisonousFields: ReadonlySet<string> = new Set([
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-original-url',
  'x-original-host',
  'x-rewrite-url',
  'x-override-url',
  'x-forwarded-server',
  'x-forwarded-scheme',
  'x-forwarded-ssl',
  'x-forwarded-prefix',
  'x-forwarded-path',
  'x-forwarded-uri',
  'x-host',
  'x-url-scheme',
  'x-wap-profile',
  'front-end-https',
]);
