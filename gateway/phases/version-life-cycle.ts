import type { Version } from '#contract/versions.ts';
import type { RouteContext } from '../compile.ts';
import type { Dependencies } from '../dependencies.ts';
import type { Phase } from '../pipeline.ts';
import { Refusal } from '../refusal.ts';
import { readTimes } from '../routing/version-state.ts';

/** Refuses requests of a version that is past its sunset, where that is enforced, or in one of its brownouts. */
export function versionLifeCycle({ version }: RouteContext, { now }: Dependencies): Phase | null {
  if (version === null) return null;
  const { sunsetAtMs, brownouts } = readTimes(version);
  const enforced = version.enforceSunset === true;
  const endsAtMs = !enforced ? Number.POSITIVE_INFINITY : version.state === 'sunset' ? 0 : sunsetAtMs;
  if (endsAtMs === Number.POSITIVE_INFINITY && brownouts.length === 0) return null;
  const retired = new Refusal('version_sunset', [], undefined, migration(version));
  return () => {
    const nowMs = now();
    if (nowMs >= endsAtMs) return retired;
    for (const { fromMs, toMs } of brownouts) {
      if (nowMs < fromMs || nowMs >= toMs) continue;
      return new Refusal(
        'version_brownout',
        ['Retry-After', String(Math.ceil((toMs - nowMs) / 1000))],
        undefined,
        { ...migration(version), until: new Date(toMs).toISOString() },
      );
    }
    return undefined;
  };
}

function migration({ id, successor, documentation, sunsetAt }: Version): Record<string, unknown> {
  return {
    version: id,
    ...(sunsetAt === undefined ? {} : { sunset_at: sunsetAt }),
    ...(successor === undefined ? {} : { successor }),
    ...(documentation === undefined ? {} : { documentation }),
  };
}
