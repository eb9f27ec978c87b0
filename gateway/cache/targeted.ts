import { type Member, parseDictionary, Token } from '#contract/structured-fields.ts';
import {
  applyDirective,
  emptyResponseDirectives,
  parseResponseDirectives,
  type ResponseDirectives,
} from './cache-control.ts';
import { joinedField } from './fields.ts';

/** The targeted fields (RFC 9213) that this cache obeys, the first present and valid one wins. */
export const targetedFields: readonly string[] = ['tollgate-cache-control', 'cdn-cache-control'];

/**
 * The directives that govern a response: those of the first targeted field that parses and is not empty, and then
 * neither Cache-Control nor Expires count (RFC 9213 section 2.2); else those of Cache-Control.
 */
export function governingDirectives(headers: readonly string[]): {
  readonly directives: ResponseDirectives;
  readonly targeted: boolean;
} {
  for (const name of targetedFields) {
    const value = joinedField(headers, name);
    if (value === undefined) continue;
    const members = parseDictionary(value);
    if (members === null || members.size === 0) continue;
    const directives = emptyResponseDirectives();
    for (const [directive, item] of members) {
      // A directive that is switched off says nothing.
      if (!('value' in item && item.value === false)) {
        applyDirective(directives, directive, argumentOf(directive, item));
      }
    }
    return { directives, targeted: true };
  }
  return { directives: parseResponseDirectives(headers), targeted: false };
}

/** Directives whose argument is a number of seconds, an Integer here. */
const timed = new Set(['max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error']);

/** Structured types as the argument text that the directive would have in Cache-Control; null for a wrong type. */
function argumentOf(directive: string, member: Member): string | undefined | null {
  if ('items' in member) return null;
  const { value } = member;
  if (timed.has(directive)) return typeof value === 'number' && value >= 0 ? String(value) : null;
  if (value === true) return undefined;
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return value;
  return value instanceof Token ? value.text : null;
}
