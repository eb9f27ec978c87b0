import {
  applyDirective,
  emptyResponseDirectives,
  parseResponseDirectives,
  type ResponseDirectives,
} from './cache-control.ts';
import { joinedField } from './fields.ts';
import { type Item, parseDictionary, Token } from './structured-fields.ts';

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
      if (item.value !== false) applyDirective(directives, directive, argumentOf(item));
    }
    return { directives, targeted: true };
  }
  return { directives: parseResponseDirectives(headers), targeted: false };
}

/** Structured types as the argument text that the directive would have in Cache-Control. */
function argumentOf(item: Item): string | undefined | null {
  const value = item.value;
  if (value === true) return undefined;
  if (typeof value === 'number') return value < 0 ? null : String(value);
  if (typeof value === 'string') return value;
  if (value instanceof Token) return value.text;
  return null;
}
