import { startRedisConsumer } from '../../../control-plane/usage/redis-consumer.ts';
import { createRedisTransport } from '../../../gateway/usage/redis-transport.ts';
import { startRedis } from '../../support/redis.ts';
import { makeFolder, removeFolder } from '../../support/temporary-folder.ts';
import { describeConsumer } from './consumer-conformance.ts';

describeConsumer('Redis Streams', async () => {
  const folder = makeFolder('redis-consume');
  const args = ['--appendonly', 'yes', '--appendfsync', 'always', '--dir', folder];
  let redis = await startRedis({ args });
  const { url, port } = redis;
  return {
    produce: () => createRedisTransport({ url, timeoutMs: 2000 }),
    consume: (options) => startRedisConsumer({ ...options, url, takeOverMs: 300 }),
    kill: () => redis.kill(),
    async start() {
      redis = await startRedis({ port, args });
    },
    async stop() {
      await redis.stop();
      removeFolder(folder);
    },
  };
});
