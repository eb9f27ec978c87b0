import { Consumer } from '@platformatic/kafka';
import { createKafkaTransport } from '../../../gateway/usage/kafka-transport.ts';
import { findKafka, startKafka } from '../../support/kafka.ts';
import { describeTransport } from './transport-conformance.ts';

const topic = 'usage.api-gateway';

describeTransport(
  'Kafka',
  async () => {
    const kafka = await startKafka();
    await kafka.createTopic(topic, 3);
    return {
      open: () => createKafkaTransport({ brokers: [kafka.broker], timeoutMs: 3000 }),
      received: () => readTopic(kafka.broker),
      kill: () => kafka.kill(),
      start: () => kafka.start(),
      stop: () => kafka.stop(),
    };
  },
  (await findKafka()) ?? false,
);

let groups = 0;

/** Everything in the topic now. */
async function readTopic(broker: string): Promise<Buffer[]> {
  const consumer = new Consumer({
    groupId: `reader-${++groups}`,
    clientId: 'reader',
    bootstrapBrokers: [broker],
  });
  const offsets = await consumer.listOffsets({ topics: [topic] });
  const expected = offsets.get(topic)!.reduce((sum, offset) => sum + Number(offset), 0);
  const values: Buffer[] = [];
  if (expected > 0) {
    const stream = await consumer.consume({
      topics: [topic],
      mode: 'earliest',
      autocommit: false,
      maxWaitTime: 100,
    });
    for await (const message of stream) {
      values.push(message.value as Buffer);
      if (values.length === expected) break;
    }
  }
  await consumer.close(true);
  return values;
}
