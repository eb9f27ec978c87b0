import { isIP } from 'node:net';

export interface WebhooksConfig {
  /** CIDR networks that endpoints may be in although they are not public; with any, http is accepted beside https. */
  readonly allowedNetworks: readonly string[];
}

export const defaultWebhooks: WebhooksConfig = { allowedNetworks: [] };

/** Reads `TOLLGATE_WEBHOOK_ALLOWED_NETWORKS`; adds what is wrong to `errors`. */
export function readWebhooksConfig(
  env: Readonly<Record<string, string | undefined>>,
  errors: string[],
): WebhooksConfig {
  const allowedNetworks = (env.TOLLGATE_WEBHOOK_ALLOWED_NETWORKS ?? '').split(/[\s,]+/).filter(Boolean);
  for (const network of allowedNetworks) {
    const [address = '', length = ''] = network.split('/');
    const bits = isIP(address) === 6 ? 128 : isIP(address) === 4 ? 32 : -1;
    if (bits < 0 || (network.includes('/') && !(/^\d{1,3}$/.test(length) && Number(length) <= bits))) {
      errors.push(
        `TOLLGATE_WEBHOOK_ALLOWED_NETWORKS: ${JSON.stringify(network)} is not an address or CIDR network`,
      );
    }
  }
  return { allowedNetworks };
}
