import type { Version } from '#contract/versions.ts';

/** A version's life cycle with its times in milliseconds since the epoch; infinite where none is set. */
export interface VersionTimes {
  readonly deprecatedAtMs: number | null;
  readonly sunsetAtMs: number;
  readonly brownouts: readonly { readonly fromMs: number; readonly toMs: number }[];
}

export function readTimes({ deprecatedAt, sunsetAt, brownouts }: Version): VersionTimes {
  return {
    deprecatedAtMs: deprecatedAt === undefined ? null : Date.parse(deprecatedAt),
    sunsetAtMs: sunsetAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(sunsetAt),
    brownouts: (brownouts ?? [])
      .map(({ from, to }) => ({ fromMs: Date.parse(from), toMs: Date.parse(to) }))
      .sort((a, b) => a.fromMs - b.fromMs),
  };
}

/** The state at a time: the one that is declared, or the later one that its dates have reached. */
export function stateAt(version: Version, times: VersionTimes, nowMs: number): Version['state'] {
  if (version.state === 'sunset' || nowMs >= times.sunsetAtMs) return 'sunset';
  const deprecated = times.deprecatedAtMs !== null && nowMs >= times.deprecatedAtMs;
  return version.state === 'deprecated' || deprecated ? 'deprecated' : 'active';
}

/** The body of `GET /versions`. */
export function describeVersions(versions: Iterable<Version>, nowMs: number): object {
  return {
    api_versions: Array.from(versions, (version) => ({
      id: version.id,
      state: stateAt(version, readTimes(version), nowMs),
      deprecated_at: version.deprecatedAt ?? null,
      sunset_at: version.sunsetAt ?? null,
      sunset_enforced: version.enforceSunset ?? false,
      successor: version.successor ?? null,
      documentation: version.documentation ?? null,
      brownouts: version.brownouts ?? [],
    })),
  };
}
