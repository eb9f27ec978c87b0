import { Agent, request } from 'undici';
import { joinBatches, usageBatchesMediaType } from '#contract/usage-batch.ts';
import { BatchesRefused, type UsageTransport } from './transport.ts';

export interface HttpTransportOptions {
  /** Origin of the control plane. */
  readonly url: string;
  /** The gateway's token. */
  readonly token: string;
  readonly timeoutMs?: number;
  /** Certificate authority, client certificate and key (PEM) where the control plane asks for them. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
}

const refusedStatuses = new Set([400, 413, 415, 422]);

/** Posts batches to `POST /usage/v1/batches` of the control plane. */
export function createHttpTransport(options: HttpTransportOptions): UsageTransport {
  const url = new URL('/usage/v1/batches', options.url).href;
  const timeoutMs = options.timeoutMs ?? 10_000;
  const agent = new Agent({ connections: 1, connect: { timeout: timeoutMs, ...options.tls } });
  return {
    name: 'http',
    async send(batches, signal) {
      const response = await request(url, {
        method: 'POST',
        dispatcher: agent,
        signal,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        headers: { 'content-type': usageBatchesMediaType, authorization: `Bearer ${options.token}` },
        body: joinBatches(batches),
      });
      const text = await response.body.text();
      if (response.statusCode >= 200 && response.statusCode < 300) return;
      const message = `the control plane answered ${response.statusCode}: ${text.slice(0, 200)}`;
      throw refusedStatuses.has(response.statusCode) ? new BatchesRefused(message) : new Error(message);
    },
    close: () => agent.destroy(),
  };
}
