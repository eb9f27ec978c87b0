import { startKafkaConsumer } from '../../../control-plane/usage/kafka-consumer.ts';
import { createKafkaTransport } from '../../../gateway/usage/kafka-transport.ts';
import { findKafka, startKafka } from '../../support/kafka.ts';
import { describeConsumer } from './consumer-conformance.ts';

describeConsumer(
  'Kafka',
  async () => {
    const kafka = await startKafka();
    await kafka.createTopic('usage.api-gateway', 4);
    return {
      produce: () => createKafkaTransport({ brokers: [kafka.broker], timeoutMs: 3000 }),
      consume: (options) => startKafkaConsumer({ ...options, brokers: [kafka.broker] }),
      kill: () => kafka.kill(),
      start: () => kafka.start(),
      stop: () => kafka.stop(),
    };
  },
  (await findKafka()) ?? false,
);
