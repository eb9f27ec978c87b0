import { mkdirSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import type { FastifyBaseLogger } from 'fastify';
import { type DestinationStream, type Logger, pino } from 'pino';
import { Registry as MetricsRegistry } from 'prom-client';
import { AuditLog } from './audit/record.ts';
import { ConfigError, type ControlPlaneOptions, decideConfig, readEnvironment } from './config.ts';
import type { Context } from './context.ts';
import { openDatabase } from './database/open.ts';
import { features } from './features.ts';
import { addIdempotency } from './http/idempotency.ts';
import { addThrottle } from './http/throttle.ts';
import { Authenticator } from './identity/authenticator.ts';
import { RegistryFeed } from './registry/feed.ts';
import { seedDeclaration } from './resources/seeding.ts';
import { openProviders } from './secrets/open-providers.ts';
import { SecretBox } from './secrets/secret-box.ts';
import { makeServer } from './server.ts';

export interface StartOptions extends ControlPlaneOptions {
  /** A logger, or where log lines go; default: standard output. */
  readonly logger?: Logger;
  readonly logDestination?: DestinationStream;
  /** For tests. */
  readonly now?: () => Date;
}

export interface ControlPlane {
  /** Without a slash at the end. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Starts the control plane: opens the database and brings its schema up to date, applies the declaration, listens.
 * Rejects with an error of one line when it cannot.
 */
export async function startControlPlane(options: StartOptions): Promise<ControlPlane> {
  const config = decideConfig(options);
  const log =
    options.logger ??
    pino(
      { base: { plane: 'control' }, redact: ['req.headers.authorization'] },
      options.logDestination ?? process.stdout,
    );
  const closing: (() => Promise<void> | void)[] = [];
  const close = async (): Promise<void> => {
    for (const work of closing.splice(0).reverse()) await work();
  };
  try {
    if (config.dataDir !== null) makeDataDir(config.dataDir);
    const db = await openDatabase({
      databaseUrl: config.databaseUrl ?? undefined,
      dataDir: config.dataDir ?? undefined,
      onError: (error) => log.error({ err: error }, 'database connection'),
    });
    closing.push(() => db.close());
    const providers = openProviders(config.secrets, config.dataDir);
    const feed = new RegistryFeed(db, log);
    let url = '';
    const context: Context = {
      config,
      url: () => config.publicUrl ?? url,
      db,
      audit: new AuditLog(),
      secrets: new SecretBox(db, providers),
      auth: new Authenticator(config.operatorToken, config.gatewayToken),
      feed,
      metrics: new MetricsRegistry(),
      log,
      now: options.now ?? (() => new Date()),
      onClose: (work) => closing.push(work),
    };
    await context.secrets.warm().catch((error: Error) => {
      log.error(
        { err: error.cause ?? error },
        'the key provider does not answer; no secrets can be made yet',
      );
    });
    if (options.declaration) await seedDeclaration(context, options.declaration);
    await feed.start();
    closing.push(() => feed.close());
    const app = await makeServer(config, log as FastifyBaseLogger);
    closing.push(() => app.close());
    addThrottle(app, context);
    addIdempotency(app, context);
    for (const feature of features) await feature(app, context);
    await app.listen({ host: config.host, port: config.port }).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'EADDRINUSE'
        ? new Error(`port ${config.port} on ${config.host} is in use`)
        : error;
    });
    const { address, port, family } = app.server.address() as AddressInfo;
    url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
    log.info({ url, database: db.engine }, 'control plane ready');
    return { url, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function makeDataDir(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Error(
      `cannot write to the data directory ${folder}: ${(error as NodeJS.ErrnoException).code}`,
      { cause: error },
    );
  }
}

if (import.meta.main) {
  try {
    const plane = await startControlPlane(readEnvironment(process.env));
    let stopping = false;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (stopping) return;
        stopping = true;
        void plane.close().then(() => process.exit(0));
      });
    }
  } catch (error) {
    const lines = error instanceof ConfigError ? error.errors : [(error as Error).message];
    for (const line of lines) process.stderr.write(`tollgate control-plane: ${line}\n`);
    process.exit(1);
  }
}
