import { type NonceStore, SharedNonces } from './nonces.ts';

export interface OpenNoncesOptions {
  readonly memory: SharedArrayBuffer;
  /** `redis://…`; several, separated by commas, are nodes of a cluster. Null: this host remembers alone. */
  readonly redisUrl: string | null;
  /** Called when Redis begins to fail, and when it answers again. */
  readonly onChange: (away: boolean, error: unknown) => void;
}

export interface OpenedNonces {
  readonly store: NonceStore;
  close(): void;
}

const answerMs = 250;

/** The memory for nonces of one worker: that of the host and, where there is Redis, that of all gateways. */
export async function openNonces({ memory, redisUrl, onChange }: OpenNoncesOptions): Promise<OpenedNonces> {
  const local = new SharedNonces(memory);
  if (redisUrl === null) return { store: local, close: () => undefined };
  // Loaded only where it is used: the client takes memory and time to start.
  const [{ Cluster, Redis }, { RedisNonces }] = await Promise.all([
    import('ioredis'),
    import('./redis-nonces.ts'),
  ]);
  const urls = redisUrl.split(',').map((url) => url.trim());
  // A question that cannot be sent at once is answered from this host's memory, not kept for later.
  const redisOptions = { enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: answerMs };
  const client =
    urls.length > 1
      ? new Cluster(urls, { enableOfflineQueue: false, redisOptions })
      : new Redis(urls[0]!, redisOptions);
  let away = false;
  const change = (now: boolean, error: unknown): void => {
    if (away === now) return;
    away = now;
    onChange(now, error);
  };
  client.on('error', (error: unknown) => change(true, error));
  client.on('ready', () => change(false, null));
  const store = new RedisNonces(client, local, {
    whenAway: 'local',
    onFailure: (error) => change(true, error),
  });
  return { store, close: () => client.disconnect() };
}
