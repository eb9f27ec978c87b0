import { Agent, request } from 'node:http';
import type { FleetGateway } from './fleet.ts';

/** Requests with a path of their own each, spread over gateways; counts those that were answered. */
export interface Load {
  /** The paths that were answered whole. */
  readonly answered: ReadonlySet<string>;
  /** Failed before they were answered (refused, reset). */
  readonly failed: () => number;
  /** Resolves when all have been sent and have ended. */
  readonly done: Promise<void>;
}

/** Sends `total` requests at `perSecond`, as far as the gateways keep up with `concurrency` open ones. */
export function startLoad(
  gateways: readonly FleetGateway[],
  total: number,
  perSecond: number,
  concurrency = 64,
): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const answered = new Set<string>();
  let failed = 0;
  let sent = 0;
  let open = 0;
  const startedAt = performance.now();
  const done = new Promise<void>((resolve) => {
    const finish = (): void => {
      open--;
      if (sent === total && open === 0) {
        agent.destroy();
        resolve();
      }
    };
    const send = (): void => {
      const number = sent++;
      open++;
      const path = `/v1/n/${number}`;
      const { port } = gateways[number % gateways.length]!;
      let settled = false;
      const settle = (whole: boolean): void => {
        if (settled) return;
        settled = true;
        if (whole) answered.add(path);
        else failed++;
        finish();
      };
      const outgoing = request({ host: '127.0.0.1', port, path, agent }, (response) => {
        response.resume();
        response.on('end', () => settle(true));
        response.on('error', () => settle(false));
      });
      outgoing.on('error', () => settle(false));
      outgoing.end();
    };
    const timer = setInterval(() => {
      const due = Math.min(total, Math.ceil(((performance.now() - startedAt) / 1000) * perSecond));
      while (sent < due && open < concurrency) send();
      if (sent === total) clearInterval(timer);
    }, 5);
  });
  return { answered, failed: () => failed, done };
}
