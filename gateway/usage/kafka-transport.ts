import { type ConnectionOptions, Producer } from '@platformatic/kafka';
import type { UsageTransport } from './transport.ts';

export interface KafkaTransportOptions {
  readonly brokers: readonly string[];
  /** Default: `usage.api-gateway`. */
  readonly topic?: string;
  readonly clientId?: string;
  readonly timeoutMs?: number;
  readonly tls?: ConnectionOptions['tls'];
  readonly sasl?: ConnectionOptions['sasl'];
}

const neverAborted = new AbortController().signal;
export const defaultUsageTopic = 'usage.api-gateway';

/**
 * Produces batches, one message each, spread over the partitions; idempotent and acknowledged by all in-sync replicas.
 * The topic has to exist, with as many partitions as consumers are wanted and `max.message.bytes` of at least 2 MiB.
 */
export function createKafkaTransport(options: KafkaTransportOptions): UsageTransport {
  const topic = options.topic ?? defaultUsageTopic;
  const timeoutMs = options.timeoutMs ?? 10_000;
  let producer: Producer<Buffer, Buffer, Buffer, Buffer> | null = null;
  const open = (): Producer<Buffer, Buffer, Buffer, Buffer> =>
    new Producer({
      clientId: options.clientId ?? 'tollgate-gateway',
      bootstrapBrokers: [...options.brokers],
      idempotent: true,
      acks: -1,
      retries: 0,
      timeout: timeoutMs,
      connectTimeout: timeoutMs,
      ...(options.tls ? { tls: options.tls } : {}),
      ...(options.sasl ? { sasl: options.sasl } : {}),
    });
  const discard = async (): Promise<void> => {
    const old = producer;
    producer = null;
    if (old) await within(old.close(true), 1000, neverAborted).catch(() => {});
  };
  return {
    name: 'kafka',
    async send(batches, signal) {
      signal.throwIfAborted();
      producer ??= open();
      try {
        const messages = batches.map((value) => ({ topic, value }));
        await within(producer.send({ messages }), timeoutMs, signal);
      } catch (error) {
        // A producer whose numbering the broker has lost never recovers; a new one starts afresh, and what arrives
        // twice is counted once.
        await discard();
        throw error;
      }
    },
    close: discard,
  };
}

/** Gives up waiting after `timeoutMs` or when aborted: a send can wait for a lost broker without end. */
function within<T>(work: Promise<T>, timeoutMs: number, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => settle(() => reject(new Error(`no answer in ${timeoutMs} ms`))),
      timeoutMs,
    );
    const onAbort = (): void => settle(() => reject(signal.reason));
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      act();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}
