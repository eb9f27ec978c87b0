import type { IssuerSettings } from '#contract/issuers.ts';
import type { Environment } from '#contract/keys.ts';

/** A token that was verified, as far as phases need it. */
export interface TokenClaims {
  readonly issuer: string;
  readonly subject: string | null;
  readonly audiences: readonly string[];
  readonly scopes: readonly string[];
  readonly roles: readonly string[];
  readonly environment: Environment | null;
}

const maxTexts = 256;
const maxSubjectLength = 512;

/** Reads the claims of a verified payload; null when they are of the wrong kind. */
export function readClaims(
  payload: Readonly<Record<string, unknown>>,
  settings: IssuerSettings,
): TokenClaims | null {
  const { sub, aud } = payload;
  if (sub !== undefined && (typeof sub !== 'string' || sub.length > maxSubjectLength)) return null;
  const scopes =
    settings.scopesClaim === undefined
      ? (texts(payload.scope) ?? texts(payload.scp))
      : texts(claimAt(payload, settings.scopesClaim));
  return {
    issuer: settings.issuer,
    subject: sub === undefined ? null : toFieldText(sub),
    audiences: texts(aud, false) ?? [],
    scopes: scopes ?? [],
    roles: texts(claimAt(payload, settings.rolesClaim ?? 'roles')) ?? [],
    environment: settings.environment ?? null,
  };
}

/** The claim of this name; else, of a path, the member of the objects on the way. */
function claimAt(payload: Readonly<Record<string, unknown>>, path: string): unknown {
  if (Object.hasOwn(payload, path)) return payload[path];
  let value: unknown = payload;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** A list of texts: an array, or one text, which is split at spaces unless told otherwise. */
function texts(value: unknown, split = true): readonly string[] | null {
  if (typeof value === 'string') return split ? value.split(' ').filter((text) => text !== '') : [value];
  if (!Array.isArray(value)) return null;
  return value.filter((text): text is string => typeof text === 'string').slice(0, maxTexts);
}

/** Subjects become header values and log fields: what has no place there is percent-encoded. */
function toFieldText(subject: string): string {
  return /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(subject)
    ? subject
    : encodeURIComponent(subject.toWellFormed());
}
