import type { Context, Feature } from '../context.ts';
import { findExpiringKeys, findVersionDates } from './date-rules.ts';
import { makeNotices, sendNotices } from './notices.ts';
import { raiseAlerts } from './raise.ts';
import { addAlertRoutes } from './routes.ts';
import { findFailedAuthentications, findQuotaThresholds, findTroubledApps } from './traffic-rules.ts';

const rules = [
  findExpiringKeys,
  findVersionDates,
  findTroubledApps,
  findFailedAuthentications,
  findQuotaThresholds,
] as const;
const evaluateMs = 60_000;
const sendMs = 5000;
const markDays = 400;

/** Raises every alert that is due now; a rule that fails does not keep the others from being looked at. */
export async function evaluateRules({ db, log, now }: Pick<Context, 'db' | 'log' | 'now'>): Promise<number> {
  let raised = 0;
  for (const rule of rules) {
    try {
      raised += await raiseAlerts(db, await rule(db, now()));
    } catch (error) {
      log.error({ err: error, rule: rule.name }, 'alert rule');
    }
  }
  return raised;
}

/** Alerts: raised of keys, versions, traffic and quotas, and told by webhook and e-mail. */
export const alerts: Feature = async (app, context) => {
  const { db, log, now } = context;
  const { mail, operatorAddress, digestHour } = context.config.alerts;
  addAlertRoutes(app, context);
  const mailer = mail
    ? (await import('./mailer.ts')).createMailer(mail.smtpUrl, mail.from, context.url)
    : null;

  const underWay = new Map<string, Promise<unknown>>();
  /** Does a piece of work unless it is still being done from the last time. */
  const perform = (name: string, work: () => Promise<unknown>): void => {
    if (underWay.has(name)) return;
    const done = work()
      .catch((error: unknown) => log.error({ err: error }, name))
      .finally(() => underWay.delete(name));
    underWay.set(name, done);
  };
  const timers = [
    setInterval(() => perform('alert rules', () => evaluateRules(context)), evaluateMs),
    setInterval(() => perform('notices', sendDue), sendMs),
    setInterval(() => perform('alert marks', forgetMarks), 3_600_000),
  ];
  async function sendDue(): Promise<void> {
    await makeNotices(db, now(), operatorAddress, digestHour);
    if (mailer) await sendNotices(db, now(), mailer.send);
  }
  async function forgetMarks(): Promise<void> {
    const before = new Date(now().getTime() - markDays * 86_400_000);
    await db.execute('DELETE FROM alert_marks WHERE created_at < $1', [before]);
  }
  for (const timer of timers) timer.unref();
  context.onClose(async () => {
    for (const timer of timers) clearInterval(timer);
    await Promise.all(underWay.values());
    mailer?.close();
  });
};
