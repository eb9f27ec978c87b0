import type { EventType } from '../webhooks/event-types.ts';

export interface NoticeText {
  readonly subject: string;
  readonly text: string;
}

type Data = Readonly<Record<string, unknown>>;
type Compose = (data: Data) => NoticeText;

const inDays = (days: unknown): string => (days === 1 ? 'within a day' : `in ${days} days or less`);
const percentOf = (rate: unknown): string => `${(Number(rate) * 100).toFixed(1)} %`;
const periodName = (period: unknown): string => (period === 'day' ? 'daily' : 'monthly');

function migrationHint(data: Data): string {
  const successor = data.successor ? ` Move to version ${data.successor}.` : '';
  return data.documentation ? `${successor} See ${data.documentation}` : successor;
}

/** What is told by e-mail, and how. Types that are not here are told by webhook only. */
const texts: Partial<Record<EventType, Compose>> = {
  'key.expiring': (data) => ({
    subject: `Key ${data.key_id} expires ${inDays(data.days_left)}`,
    text: `The key ${data.key_id} of app ${data.app_id} expires at ${data.expires_at}. Rotate it in the portal; the old secret stays valid during the grace period.`,
  }),
  'key.revoked': (data) => ({
    subject: `Key ${data.key_id} was revoked`,
    text: `The key ${data.key_id} of app ${data.app_id} was revoked and is no longer accepted.${data.reason ? ` Reason: ${data.reason}.` : ''}`,
  }),
  'quota.threshold': (data) => ({
    subject: `Key ${data.key_id} has used ${data.percent} % of its quota`,
    text: `The key ${data.key_id} has used ${data.percent} % of its ${periodName(data.period)} quota of ${data.limit} calls.`,
  }),
  'quota.exceeded': (data) => ({
    subject: `Key ${data.key_id} is beyond its quota`,
    text: `The key ${data.key_id} has made ${data.used} calls; its ${periodName(data.period)} quota is ${data.limit}.`,
  }),
  'version.deprecated': (data) => ({
    subject:
      data.days_left === 0
        ? `Version ${data.version} is deprecated`
        : `Version ${data.version} will be deprecated ${inDays(data.days_left)}`,
    text: `Your apps made ${data.calls_last_30_days} calls to version ${data.version} in the last 30 days.${migrationHint(data)}`,
  }),
  'version.sunset': (data) => ({
    subject: `Version ${data.version} is retired ${inDays(data.days_left)}`,
    text: `Version ${data.version} ends at ${data.date}. Your apps made ${data.calls_last_30_days} calls to it in the last 30 days.${migrationHint(data)}`,
  }),
  'alert.error_rate': (data) => ({
    subject: `${percentOf(data.error_rate)} of the calls of app ${data.app_id} failed`,
    text: `In the last ${data.minutes} minutes ${data.errors} of ${data.calls} calls of app ${data.app_id} failed.`,
  }),
  'alert.latency': (data) => ({
    subject: `App ${data.app_id} is slow: P95 ${data.p95_ms} ms`,
    text: `In the last ${data.minutes} minutes the 95th percentile of the latency of app ${data.app_id} was ${data.p95_ms} ms over ${data.calls} calls.`,
  }),
  'alert.authentication': (data) => ({
    subject: `${data.failures} failed authentications in a minute`,
    text: `In the minute from ${data.minute} there were ${data.failures} failed authentications.`,
  }),
  'webhook.disabled': (data) => ({
    subject: 'A webhook endpoint was disabled',
    text: `Deliveries to ${data.url} have stopped. ${data.reason} Enable it in the portal once it is mended.`,
  }),
  'app.approved': (data) => ({
    subject: `App ${data.app_id} was approved`,
    text: `The app ${data.app_id} was approved and may use its environments.`,
  }),
};

/** The e-mail of an event, or null when it is not told by e-mail. */
export function composeNotice(type: string, data: Data): NoticeText | null {
  if (type === 'quota.threshold' && Number(data.percent) < 90) return null;
  const composed = texts[type as EventType]?.(data);
  if (!composed) return null;
  // Names come from people: a subject is one line.
  return { subject: composed.subject.replaceAll(/[\r\n]+/g, ' ').slice(0, 200), text: composed.text };
}

/** Many notices in one e-mail. */
export function composeDigest(notices: readonly NoticeText[]): NoticeText {
  if (notices.length === 1) return notices[0]!;
  const parts = notices.map(({ subject, text }) => `* ${subject}\n  ${text}`);
  return { subject: `${notices.length} notices about your apps`, text: parts.join('\n\n') };
}
