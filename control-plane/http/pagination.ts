import Type, { type TSchema } from 'typebox';
import { ProblemError } from './problem.ts';

/** Query parameters of a list. */
export const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
  cursor: Type.Optional(Type.String({ maxLength: 512, description: '`next_cursor` of the page before.' })),
};

export interface Page<T> {
  data: T[];
  next_cursor: string | null;
}

export function pageOf<T extends TSchema>(item: T) {
  return Type.Object({ data: Type.Array(item), next_cursor: Type.Union([Type.String(), Type.Null()]) });
}

const partPatterns = {
  time: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z$/,
  number: /^\d{1,15}$/,
  text: /^[^\0]{0,256}$/,
};

/** The place a cursor stands for: the sort key of the last row of the page before. Null at the beginning. */
export function parseCursor(
  cursor: string | undefined,
  parts: readonly (keyof typeof partPatterns)[],
): string[] | null {
  if (cursor === undefined) return null;
  try {
    const place: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (
      Array.isArray(place) &&
      place.length === parts.length &&
      place.every((part, index) => typeof part === 'string' && partPatterns[parts[index]!].test(part)) &&
      place.every((part, index) => parts[index] !== 'time' || !Number.isNaN(Date.parse(part as string)))
    ) {
      return place as string[];
    }
  } catch {}
  throw new ProblemError('invalid_parameter', 'The cursor is not one of this list.');
}

/** Makes a page of rows that were read with a limit of one more than asked for. */
export function makePage<R, T>(
  rows: readonly R[],
  limit: number,
  present: (row: R) => T,
  place: (row: R) => readonly string[],
): Page<T> {
  const shown = rows.slice(0, limit);
  const more = rows.length > limit;
  return {
    data: shown.map(present),
    next_cursor: more ? Buffer.from(JSON.stringify(place(shown.at(-1)!))).toString('base64url') : null,
  };
}
