import { environmentOf, overageOf, type UsageColumns } from '#contract/usage-batch.ts';
import { binOf } from './sketch.ts';

/** The sum of events that share a minute (hour, day) and all dimensions. Empty text: none. */
export interface UsageGroup {
  /** The beginning of the bucket, milliseconds since the epoch. */
  readonly bucket: number;
  readonly accountId: string;
  readonly appId: string;
  readonly keyId: string;
  readonly environment: string;
  readonly routeId: string;
  readonly version: string;
  readonly status: number;
  readonly country: string;
  calls: number;
  errors: number;
  overage: number;
  latencyMs: number;
  bytesIn: number;
  bytesOut: number;
  readonly sketch: Map<number, number>;
}

export type Groups = Map<string, UsageGroup>;

export const minuteMs = 60_000;
export const hourMs = 3_600_000;
export const dayMs = 86_400_000;

/** Whether a status counts as an error: 400 and above, and 0, a request that was not answered. */
export function isError(status: number): boolean {
  return status >= 400 || status === 0;
}

/** Adds the events of a batch to groups by minute. */
export function addEvents(groups: Groups, columns: UsageColumns, count: number): void {
  for (let i = 0; i < count; i++) {
    const bucket = Math.floor(columns.occurredAt[i]! / minuteMs) * minuteMs;
    const flags = columns.flags[i]!;
    const accountId = columns.accountId[i] ?? '';
    const appId = columns.appId[i] ?? '';
    const keyId = columns.keyId[i] ?? '';
    const routeId = columns.routeId[i] ?? '';
    const version = columns.version[i] ?? '';
    const country = columns.country[i] ?? '';
    const status = columns.status[i]!;
    const name = `${appId}\t${bucket}\t${keyId}\t${routeId}\t${version}\t${status}\t${country}\t${flags & 3}\t${accountId}`;
    let group = groups.get(name);
    if (group === undefined) {
      const environment = environmentOf(flags) ?? '';
      group = {
        ...{ bucket, accountId, appId, keyId, environment, routeId, version, status, country },
        ...{ calls: 0, errors: 0, overage: 0, latencyMs: 0, bytesIn: 0, bytesOut: 0, sketch: new Map() },
      };
      groups.set(name, group);
    }
    const latencyMs = columns.latencyMs[i]!;
    const bin = binOf(latencyMs);
    group.calls++;
    if (isError(status)) group.errors++;
    if (overageOf(flags)) group.overage++;
    group.latencyMs += latencyMs;
    group.bytesIn += columns.bytesIn[i]!;
    group.bytesOut += columns.bytesOut[i]!;
    group.sketch.set(bin, (group.sketch.get(bin) ?? 0) + 1);
  }
}

/** Merges groups into buckets of `bucketMs`. */
export function coarsen(groups: Groups, bucketMs: number): Groups {
  const coarse: Groups = new Map();
  for (const group of groups.values()) {
    const bucket = Math.floor(group.bucket / bucketMs) * bucketMs;
    const { accountId, appId, keyId, environment, routeId, version, status, country } = group;
    const name = `${appId}\t${bucket}\t${keyId}\t${routeId}\t${version}\t${status}\t${country}\t${environment}\t${accountId}`;
    const into = coarse.get(name);
    if (into === undefined) {
      coarse.set(name, { ...group, bucket, sketch: new Map(group.sketch) });
      continue;
    }
    into.calls += group.calls;
    into.errors += group.errors;
    into.overage += group.overage;
    into.latencyMs += group.latencyMs;
    into.bytesIn += group.bytesIn;
    into.bytesOut += group.bytesOut;
    for (const [bin, calls] of group.sketch) into.sketch.set(bin, (into.sketch.get(bin) ?? 0) + calls);
  }
  return coarse;
}
