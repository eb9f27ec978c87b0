import { Gauge } from 'prom-client';
import type { Feature } from '../context.ts';
import type { Attempts } from './attempt.ts';
import { addDeliveryRoutes } from './delivery-routes.ts';
import { Dispatcher } from './dispatcher.ts';
import { addEndpointRoutes } from './endpoint-routes.ts';

const timeoutMs = 15_000;
const eventDays = 30;

/** Webhooks: endpoints of accounts, and the delivery of published events to them. */
export const webhooks: Feature = async (app, context) => {
  const { db, log, now, metrics } = context;
  const { allowedNetworks } = context.config.webhooks;
  // The HTTP client is loaded when something is delivered for the first time: most instances start without.
  let loaded: Promise<Attempts> | null = null;
  const load = async (): Promise<Attempts> => {
    const { createAttempts } = await import('./attempt.ts');
    return createAttempts(allowedNetworks, timeoutMs, now);
  };
  const dispatcher = new Dispatcher(context, {
    async attempt(target, messageId, body) {
      loaded ??= load();
      return await (await loaded).attempt(target, messageId, body);
    },
    timeoutMs,
    now,
  });
  addEndpointRoutes(app, context);
  addDeliveryRoutes(app, context, () => dispatcher.wake());
  const stopListening = await db.listen('events', () => dispatcher.wake());
  dispatcher.wake();

  const timer = setInterval(() => {
    const before = new Date(now().getTime() - eventDays * 86_400_000);
    db.execute('DELETE FROM events WHERE created_at < $1', [before]).catch((error: unknown) =>
      log.error({ err: error }, 'old events cannot be removed'),
    );
  }, 3_600_000);
  timer.unref();

  new Gauge({
    name: 'tollgate_webhook_deliveries_pending',
    help: 'Webhook deliveries that have not arrived yet.',
    registers: [metrics],
    async collect() {
      const [row] = await db.query<{ n: number }>(
        `SELECT count(*)::int AS n FROM webhook_deliveries WHERE status = 'pending'`,
      );
      this.set(row!.n);
    },
  });

  context.onClose(async () => {
    clearInterval(timer);
    await stopListening();
    await dispatcher.stop();
    await (await loaded)?.close();
  });
};
