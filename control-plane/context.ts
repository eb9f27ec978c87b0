import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyRequest,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { Registry as MetricsRegistry } from 'prom-client';
import type { AuditLog } from './audit/record.ts';
import type { ControlPlaneConfig } from './config.ts';
import type { Database } from './database/database.ts';
import type { Authenticator } from './identity/authenticator.ts';
import type { RegistryFeed } from './registry/feed.ts';
import type { SecretBox } from './secrets/secret-box.ts';

/** The HTTP server, with routes typed by their TypeBox schemas. */
export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression<RawServerDefault>,
  RawReplyDefaultExpression<RawServerDefault>,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** What features work with: the long-lived parts of one instance. */
export interface Context {
  readonly config: ControlPlaneConfig;
  /** The address this instance is reached at, without a slash at the end. Known once it listens. */
  readonly url: () => string;
  readonly db: Database;
  readonly audit: AuditLog;
  readonly secrets: SecretBox;
  readonly auth: Authenticator;
  readonly feed: RegistryFeed;
  readonly metrics: MetricsRegistry;
  readonly log: FastifyBaseLogger;
  readonly now: () => Date;
  /** Run, in reverse order, when the instance closes; before the database does. */
  readonly onClose: (work: () => Promise<void> | void) => void;
}

/** A feature adds its routes, and work in the background if it has any. Its tables come from the migrations. */
export type Feature = (app: App, context: Context) => void | Promise<void>;

export type { FastifyRequest };
