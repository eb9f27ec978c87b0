/**
 * Everything an account can be told of, by webhook and e-mail. Payloads are versioned: members are added within a
 * version, a change of meaning makes a new one.
 */
export const eventTypes = {
  'key.created': 'A key was made.',
  'key.rotated': 'A key has a new secret; the old one is valid until its grace period ends.',
  'key.expiring': 'A key expires in 30, 7 or 1 days.',
  'key.revoked': 'A key was revoked.',
  'quota.threshold': 'A key has used 80, 90 or 100 per cent of its quota.',
  'quota.exceeded': 'A key has gone beyond its quota.',
  'version.deprecated': 'A version that the account calls is deprecated.',
  'version.sunset': 'A version that the account still calls is retired in 30, 7 or 1 days.',
  'app.approved': 'An app was approved.',
  'alert.error_rate': 'More than 5 per cent of the calls of an app failed.',
  'alert.latency': 'The 95th percentile of an app’s latency was above a second.',
  'alert.authentication': 'More than 100 authentications failed within a minute.',
  'webhook.disabled': 'An endpoint was disabled because deliveries to it kept failing.',
  'webhook.test': 'Sent on request, to try an endpoint.',
  'onboarding.started': 'An onboarding was started.',
  'onboarding.provisioned': 'The infrastructure of an onboarding is ready.',
  'onboarding.failed': 'Provisioning an onboarding failed.',
  'onboarding.completed': 'An onboarding was reported complete.',
} as const satisfies Record<string, string>;

export type EventType = keyof typeof eventTypes;
export const payloadVersion = 1;
