import type { Consumer } from '#contract/access.ts';
import { answered, type Phase } from '../pipeline.ts';

/**
 * Stands in for forwarding where a proxy asks only: 200 with the caller's identity. Every field is there, empty where
 * nothing is known, so that a proxy which copies them overwrites what the client claims.
 */
export function decide(): Phase {
  return (exchange) => {
    exchange.answer(200, ['Cache-Control', 'no-store', ...identityOf(exchange.consumer)], null);
    return answered;
  };
}

function identityOf(consumer: Consumer | null): string[] {
  return [
    ...['X-Tollgate-Key-Id', consumer?.keyId ?? '', 'X-Tollgate-App', consumer?.appId ?? ''],
    ...[
      'X-Tollgate-Account',
      consumer?.accountId ?? '',
      'X-Tollgate-Environment',
      consumer?.environment ?? '',
    ],
    ...['X-Tollgate-Subject', consumer?.subject ?? ''],
  ];
}
