import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { startTollgate } from '../../support/command-line.ts';
import { startKafka, type TestKafka } from '../../support/kafka.ts';
import { startPostgres, type TestPostgres } from '../../support/postgres.ts';
import { findFreePort, type RunningProcess } from '../../support/processes.ts';
import { startRedis, type TestRedis } from '../../support/redis.ts';
import { makeFolder, removeFolder } from '../../support/temporary-folder.ts';
import { startUpstream, type TestUpstream } from '../../support/upstream.ts';

/** One part of the fleet that can crash and come back with what it had stored. */
export interface Part {
  readonly name: string;
  crash(): Promise<void>;
  start(): Promise<void>;
}

export interface FleetGateway {
  readonly transport: 'http' | 'redis' | 'kafka';
  readonly port: number;
  process: RunningProcess;
  start(): Promise<void>;
}

/**
 * Real processes: gateways that emit over HTTP, Redis Streams and Kafka, one control plane that takes all in, and one
 * PostgreSQL behind it.
 */
export interface Fleet {
  readonly gateways: readonly FleetGateway[];
  readonly parts: readonly Part[];
  readonly upstream: TestUpstream;
  readonly redis: () => TestRedis;
  /** Rows of a query in the control plane's database; rejects while it is away. */
  query<R extends object>(text: string): Promise<R[]>;
  /** Batches that wait at each broker, as the control plane sees it. */
  brokerLags(): Promise<number[]>;
  /** Events that a gateway has still to hand over, by its metrics. */
  pendingEvents(gateway: FleetGateway): Promise<number>;
  stopControlPlane(): Promise<void>;
  startControlPlane(): Promise<void>;
  stop(): Promise<void>;
}

const token = 'a-token-for-the-fleet';
const quiet = { TOLLGATE_LOG_LEVEL: 'silent' };

export interface FleetOptions {
  /** Workers of each gateway. */
  readonly workers: { readonly http?: number; readonly redis?: number; readonly kafka?: number };
  readonly flushIntervalMs?: number;
  readonly maxSpoolBytes?: number;
}

export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const folder = makeFolder('fleet');
  const upstream = await startUpstream((_request, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  });
  const postgres: TestPostgres = await startPostgres({ durable: true });
  const databaseUrl = await postgres.createDatabase();
  const redisArgs = ['--appendonly', 'yes', '--appendfsync', 'always', '--dir', makeFolder('fleet-redis')];
  let redis = await startRedis({ args: redisArgs });
  const kafka: TestKafka | null = options.workers.kafka ? await startKafka() : null;
  await kafka?.createTopic('usage.api-gateway', 4);

  const controlPort = await findFreePort();
  let control: RunningProcess | null = null;
  const startControlPlane = async (): Promise<void> => {
    // As a supervisor does: again and again, while its database is still away.
    for (;;) {
      control = startTollgate(['control-plane', '--port', String(controlPort), '--host', '127.0.0.1'], {
        env: {
          ...quiet,
          DATABASE_URL: databaseUrl,
          TOLLGATE_DATA_DIR: join(folder, 'control'),
          TOLLGATE_OPERATOR_TOKEN: token,
          TOLLGATE_USAGE_REDIS_URL: redis.url,
          ...(kafka ? { TOLLGATE_USAGE_KAFKA_BROKERS: kafka.broker } : {}),
        },
      });
      const up = await control.waitFor(new RegExp(`127\\.0\\.0\\.1:${controlPort}`)).then(
        () => true,
        () => false,
      );
      if (up) return;
      await control.stop('SIGKILL');
    }
  };
  await startControlPlane();

  const resources = {
    versions: [{ id: 'v1', state: 'active' }],
    services: [{ id: 'echo', targets: { live: [{ url: upstream.url }] } }],
    routes: [
      { id: 'open', service: 'echo', path: '/v1', version: 'v1', authentication: 'none', applyPlan: false },
    ],
  };
  const call = (method: string, path: string, body: unknown) =>
    fetch(`http://127.0.0.1:${controlPort}/admin/v1/${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  for (const [section, objects] of Object.entries(resources)) {
    for (const object of objects) {
      const reply = await call('PUT', `${section}/${object.id}`, object);
      if (!reply.ok) throw new Error(`${section}: ${reply.status} ${await reply.text()}`);
    }
  }

  const gateways: FleetGateway[] = [];
  for (const [transport, workers] of Object.entries(options.workers) as [
    'http' | 'redis' | 'kafka',
    number,
  ][]) {
    const port = await findFreePort();
    const file = join(folder, `${transport}.yaml`);
    const settings = {
      listen: { host: '127.0.0.1', port },
      admin: { port: 0 },
      accessLog: 'off',
      workers,
      redisUrl: redis.url,
      usage: {
        transport,
        flushIntervalMs: options.flushIntervalMs ?? 200,
        ...(kafka ? { brokers: [kafka.broker] } : {}),
        ...(options.maxSpoolBytes ? { maxSpoolBytes: options.maxSpoolBytes } : {}),
      },
    };
    // The gateway with HTTP follows the control plane; the others stand alone. JSON is YAML.
    writeFileSync(file, JSON.stringify({ gateway: settings, ...(transport === 'http' ? {} : resources) }));
    const gateway: FleetGateway = {
      transport,
      port,
      process: null as unknown as RunningProcess,
      async start() {
        gateway.process = startTollgate(
          ['gateway', '--config', file, '--data-dir', join(folder, transport), '--json'],
          {
            env: {
              ...quiet,
              TOLLGATE_GATEWAY_ID: transport,
              TOLLGATE_OPERATOR_TOKEN: token,
              ...(transport === 'http'
                ? { TOLLGATE_CONTROL_URL: `http://127.0.0.1:${controlPort}`, TOLLGATE_GATEWAY_TOKEN: token }
                : {}),
            },
          },
        );
        await gateway.process.waitFor(new RegExp(`127\\.0\\.0\\.1:${port}`));
      },
    };
    await gateway.start();
    gateways.push(gateway);
  }

  const parts: Part[] = [
    { name: 'postgres', crash: () => postgres.crash(), start: () => postgres.start() },
    {
      name: 'redis',
      crash: () => redis.kill(),
      async start() {
        redis = await startRedis({ port: redis.port, args: redisArgs });
      },
    },
    {
      name: 'control plane',
      async crash() {
        await control?.stop('SIGKILL');
      },
      start: startControlPlane,
    },
  ];
  if (kafka) parts.push({ name: 'kafka', crash: () => kafka.kill(), start: () => kafka.start() });

  return {
    gateways,
    parts,
    upstream,
    redis: () => redis,
    async query<R extends object>(text: string) {
      const client = new pg.Client({ connectionString: databaseUrl });
      client.on('error', () => {});
      await client.connect();
      try {
        return (await client.query(text)).rows as R[];
      } finally {
        await client.end();
      }
    },
    async brokerLags() {
      const reply = await fetch(`http://127.0.0.1:${controlPort}/metrics`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const lines = (await reply.text()).matchAll(/^tollgate_usage_consumer_lag_batches\{[^}]*\} (\d+)$/gm);
      return [...lines].map(([, lag]) => Number(lag));
    },
    async pendingEvents({ process: running }) {
      const [, admin] = /"admin":"(http:[^"]+)"/.exec(running.output())!;
      const text = await (
        await fetch(`${admin}/metrics`, { headers: { authorization: `Bearer ${token}` } })
      ).text();
      return Number(/^tollgate_usage_events_pending (\d+)$/m.exec(text)![1]);
    },
    async stopControlPlane() {
      await control?.stop('SIGTERM', 20_000);
    },
    startControlPlane,
    async stop() {
      for (const gateway of gateways) await gateway.process.stop('SIGKILL');
      await control?.stop('SIGKILL');
      await kafka?.stop();
      await redis.stop();
      await postgres.stop();
      await upstream.stop();
      removeFolder(folder);
    },
  };
}
