import { accessDecisions } from './access/decisions.ts';
import { access } from './access/routes.ts';
import { members } from './accounts/members.ts';
import { accounts } from './accounts/routes.ts';
import { alerts } from './alerts/feature.ts';
import { apps } from './apps/routes.ts';
import { audit } from './audit/routes.ts';
import { automation } from './automation/routes.ts';
import type { Feature } from './context.ts';
import { devIssuer } from './identity/routes.ts';
import { signIn } from './identity/sign-in.ts';
import { keyImport } from './keys/import.ts';
import { keyPush } from './keys/push.ts';
import { quotas } from './keys/quota.ts';
import { keys } from './keys/routes.ts';
import { onboarding } from './onboarding/routes.ts';
import { portal } from './portal/routes.ts';
import { registry } from './registry/routes.ts';
import { configuration } from './resources/history.ts';
import { resources } from './resources/routes.ts';
import { secretsAdministration } from './secrets/routes.ts';
import { telemetry } from './telemetry/routes.ts';
import { usage } from './usage/feature.ts';
import { webhooks } from './webhooks/feature.ts';

/** Everything the control plane does. A feature is one line here, a folder, and its numbered migrations. */
export const features: readonly Feature[] = [
  telemetry,
  devIssuer,
  signIn,
  accounts,
  members,
  apps,
  access,
  accessDecisions,
  keys,
  quotas,
  keyPush,
  keyImport,
  resources,
  configuration,
  audit,
  secretsAdministration,
  automation,
  registry,
  portal,
  usage,
  webhooks,
  alerts,
  onboarding,
];
