export interface AlertsConfig {
  /** Null: no e-mail is sent. */
  readonly mail: { readonly smtpUrl: string; readonly from: string } | null;
  /** Who is told of what concerns no account, such as failed authentications. */
  readonly operatorAddress: string | null;
  /** UTC hour at which digests are sent. */
  readonly digestHour: number;
}

export const defaultAlerts: AlertsConfig = { mail: null, operatorAddress: null, digestHour: 8 };

const address = /^[^@\s<>]+@[^@\s<>]+$|^[^<>@]*<[^@\s<>]+@[^@\s<>]+>$/;

/** Reads `TOLLGATE_SMTP_URL`, `TOLLGATE_MAIL_FROM` and `TOLLGATE_OPERATOR_EMAIL`; adds what is wrong to `errors`. */
export function readAlertsConfig(
  env: Readonly<Record<string, string | undefined>>,
  errors: string[],
): AlertsConfig {
  const smtpUrl = env.TOLLGATE_SMTP_URL?.trim();
  const from = env.TOLLGATE_MAIL_FROM?.trim();
  const operatorAddress = env.TOLLGATE_OPERATOR_EMAIL?.trim() || null;
  if (smtpUrl && !/^smtps?:\/\/\S+$/.test(smtpUrl))
    errors.push('TOLLGATE_SMTP_URL must begin with smtp:// or smtps://');
  if (smtpUrl && !from) errors.push('TOLLGATE_SMTP_URL: TOLLGATE_MAIL_FROM must be set with it');
  for (const [name, value] of [
    ['TOLLGATE_MAIL_FROM', from],
    ['TOLLGATE_OPERATOR_EMAIL', operatorAddress],
  ] as const) {
    if (value && !address.test(value)) errors.push(`${name} must be an e-mail address`);
  }
  return { ...defaultAlerts, mail: smtpUrl && from ? { smtpUrl, from } : null, operatorAddress };
}
