import { isToken } from './fields.ts';

/** An entity tag (RFC 9110 section 8.8.3), `opaque` without its quotes. */
export interface EntityTag {
  readonly weak: boolean;
  readonly opaque: string;
}

/** One entity tag that is the whole text, or null: no unquoted tags, "W/" in upper case only. */
export function parseEntityTag(text: string): EntityTag | null {
  const weak = text.startsWith('W/');
  const start = weak ? 2 : 0;
  const end = tagEnd(text, start);
  return end === text.length ? { weak, opaque: text.slice(start + 1, end - 1) } : null;
}

/** The index after the closing quote of an opaque tag that starts at `start`, or -1. */
function tagEnd(text: string, start: number): number {
  if (text.charCodeAt(start) !== 0x22) return -1;
  for (let i = start + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) return i + 1;
    if (code < 0x21 || code === 0x7f) return -1;
  }
  return -1;
}

/**
 * The tags of If-None-Match or If-Match: "*", or the list; null when the value is not valid. A comma inside a tag is
 * part of it.
 */
export function parseEntityTags(value: string): EntityTag[] | '*' | null {
  if (value.trim() === '*') return '*';
  const tags: EntityTag[] = [];
  let at = 0;
  for (;;) {
    while (at < value.length && (value[at] === ' ' || value[at] === '\t' || value[at] === ',')) at++;
    if (at >= value.length) return tags.length > 0 ? tags : null;
    const weak = value.startsWith('W/', at);
    const start = weak ? at + 2 : at;
    const end = tagEnd(value, start);
    if (end < 0) return null;
    tags.push({ weak, opaque: value.slice(start + 1, end - 1) });
    at = end;
    while (at < value.length && (value[at] === ' ' || value[at] === '\t')) at++;
    if (at < value.length && value[at] !== ',') return null;
  }
}

/** Weak comparison (RFC 9110 section 8.8.3.2). */
export function matchesWeakly(a: EntityTag, b: EntityTag): boolean {
  return a.opaque === b.opaque;
}

/** Strong comparison (RFC 9110 section 8.8.3.2). */
export function matchesStrongly(a: EntityTag, b: EntityTag): boolean {
  return !a.weak && !b.weak && a.opaque === b.opaque;
}

/** Whether a text could be sent back as a validator without breaking the field it goes into. */
export function isSendableTag(text: string): boolean {
  return parseEntityTag(text) !== null || isToken(text);
}
