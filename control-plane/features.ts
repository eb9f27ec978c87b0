import { apps } from './apps/routes.ts';
import type { Feature } from './context.ts';
import { devIssuer } from './identity/routes.ts';
import { keyPush } from './keys/push.ts';
import { keys } from './keys/routes.ts';
import { portal } from './portal/routes.ts';
import { registry } from './registry/routes.ts';
import { configuration } from './resources/history.ts';
import { resources } from './resources/routes.ts';
import { telemetry } from './telemetry/routes.ts';
import { usage } from './usage/feature.ts';

/** Everything the control plane does. A feature is one line here, a folder, and its numbered migrations. */
export const features: readonly Feature[] = [
  telemetry,
  devIssuer,
  apps,
  keys,
  keyPush,
  resources,
  configuration,
  registry,
  portal,
  usage,
];
