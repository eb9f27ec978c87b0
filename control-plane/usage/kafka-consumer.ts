import { setTimeout as delay } from 'node:timers/promises';
import { type ConnectionOptions, Consumer, type Message, type MessagesStream } from '@platformatic/kafka';
import { type ConsumerOptions, pauseMsOf, type UsageConsumer } from './consumer.ts';

export interface KafkaConsumerOptions extends ConsumerOptions {
  readonly brokers: readonly string[];
  readonly topic?: string;
  readonly group?: string;
  readonly tls?: ConnectionOptions['tls'];
  readonly sasl?: ConnectionOptions['sasl'];
}

type Client = Consumer<Buffer, Buffer, Buffer, Buffer>;
const messagesAtOnce = 64;

/**
 * Consumes a topic as one of a group: partitions are shared among the consumers. Offsets are committed after the
 * database has; what is delivered again after a rebalance or a crash is counted once all the same.
 */
export function startKafkaConsumer(options: KafkaConsumerOptions): UsageConsumer {
  const topic = options.topic ?? 'usage.api-gateway';
  const stopping = new AbortController();
  const { signal } = stopping;
  let client: Client | null = null;

  const pause = (attempt: number): Promise<unknown> =>
    delay(pauseMsOf(options, attempt), undefined, { signal }).catch(() => {});

  /** The batches must be ingested before any later offset may be committed, however long that takes. */
  const ingest = async (messages: readonly Message<Buffer, Buffer, Buffer, Buffer>[]): Promise<void> => {
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await options.ingest(
          messages.map((message) => message.value),
          `kafka ${topic}`,
        );
        break;
      } catch (error) {
        options.onError(error as Error);
        await pause(attempt);
      }
    }
    if (signal.aborted) return;
    const last = new Map<number, Message<Buffer, Buffer, Buffer, Buffer>>();
    for (const message of messages) last.set(message.partition, message);
    for (const message of last.values()) await message.commit();
  };

  const consume = async (): Promise<void> => {
    client = new Consumer({
      groupId: options.group ?? 'tollgate-usage',
      clientId: 'tollgate-control-plane',
      bootstrapBrokers: [...options.brokers],
      retries: 0,
      ...(options.tls ? { tls: options.tls } : {}),
      ...(options.sasl ? { sasl: options.sasl } : {}),
    });
    const stream: MessagesStream<Buffer, Buffer, Buffer, Buffer> = await client.consume({
      topics: [topic],
      autocommit: false,
      mode: 'committed',
      fallbackMode: 'earliest',
      sessionTimeout: 10_000,
      rebalanceTimeout: 10_000,
      heartbeatInterval: 1000,
      maxWaitTime: 500,
      highWaterMark: messagesAtOnce,
    });
    const stop = (): void => void stream.close().catch(() => {});
    signal.addEventListener('abort', stop, { once: true });
    try {
      let waiting: Message<Buffer, Buffer, Buffer, Buffer>[] = [];
      for await (const message of stream) {
        waiting.push(message);
        // What the stream has at hand already goes into the same transaction.
        if (waiting.length < messagesAtOnce && stream.readableLength > 0) continue;
        const messages = waiting;
        waiting = [];
        await ingest(messages);
        if (signal.aborted) return;
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  };

  const run = async (): Promise<void> => {
    for (let attempt = 1; !signal.aborted; attempt++) {
      const startedAt = performance.now();
      try {
        await consume();
      } catch (error) {
        if (!signal.aborted) options.onError(error as Error);
      }
      const old = client;
      client = null;
      if (old) await Promise.race([old.close(true).catch(() => {}), delay(2000)]);
      if (performance.now() - startedAt > 60_000) attempt = 1;
      if (!signal.aborted) await pause(attempt);
    }
  };
  const done = run();

  return {
    name: 'kafka',
    async lag() {
      const current = client;
      if (!current) return null;
      const offsets = await current.getLag({ topics: [topic] }).catch(() => null);
      const lags = offsets?.get(topic);
      return lags ? lags.reduce((sum, lag) => sum + Math.max(0, Number(lag)), 0) : null;
    },
    async close() {
      stopping.abort();
      await done;
    },
  };
}
