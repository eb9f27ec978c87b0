import { Redis } from 'ioredis';
import { createRedisTransport } from '../../../gateway/usage/redis-transport.ts';
import { startRedis } from '../../support/redis.ts';
import { makeFolder, removeFolder } from '../../support/temporary-folder.ts';
import { describeTransport } from './transport-conformance.ts';

describeTransport('Redis Streams', async () => {
  const folder = makeFolder('redis-usage');
  const args = ['--appendonly', 'yes', '--appendfsync', 'always', '--dir', folder];
  let redis = await startRedis({ args });
  const { url, port } = redis;
  return {
    open: () => createRedisTransport({ url, timeoutMs: 3000 }),
    async received() {
      const client = new Redis(url);
      const entries = await client.xrangeBuffer('tollgate:usage', '-', '+');
      client.disconnect();
      return entries.map(([, fields]) => fields[1]!);
    },
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
