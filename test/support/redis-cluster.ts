import { Redis } from 'ioredis';
import { findFreePort } from './processes.ts';
import { startRedis, type TestRedis } from './redis.ts';

/** Private masters that share the slots of a Redis Cluster. */
export interface TestRedisCluster {
  /** Addresses of all nodes, with commas. */
  readonly url: string;
  readonly masters: readonly TestRedis[];
  /** The index of the master that a slot belongs to. */
  masterOf(slot: number): number;
  stop(): Promise<void>;
}

const slots = 16_384;

/** A slot whose master is gone is unavailable; the others stay in service. */
export async function startRedisCluster(count = 3): Promise<TestRedisCluster> {
  const nodes = await Promise.all(
    Array.from({ length: count }, async () => {
      const busPort = await findFreePort();
      const args = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort)];
      args.push('--cluster-require-full-coverage', 'no', '--cluster-node-timeout', '1000');
      return { busPort, redis: await startRedis({ args }) };
    }),
  );
  const clients = nodes.map(({ redis }) => new Redis(redis.url));
  const firstSlot = (index: number): number => Math.floor((index * slots) / count);
  for (const [i, client] of clients.entries()) {
    await client.call('CLUSTER', 'ADDSLOTSRANGE', String(firstSlot(i)), String(firstSlot(i + 1) - 1));
  }
  for (const { busPort, redis } of nodes.slice(1)) {
    await clients[0]!.call('CLUSTER', 'MEET', '127.0.0.1', String(redis.port), String(busPort));
  }
  const deadline = performance.now() + 20_000;
  for (const client of clients) {
    for (;;) {
      const info = String(await client.call('CLUSTER', 'INFO'));
      if (info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${count}`)) break;
      if (performance.now() > deadline) throw new Error(`the cluster does not form:\n${info}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  for (const client of clients) client.disconnect();
  return {
    url: nodes.map(({ redis }) => redis.url).join(','),
    masters: nodes.map(({ redis }) => redis),
    masterOf: (slot) => {
      for (let i = count - 1; ; i--) if (slot >= firstSlot(i)) return i;
    },
    stop: async () => {
      for (const { redis } of nodes) await redis.stop();
    },
  };
}
