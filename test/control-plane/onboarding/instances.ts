import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import type { ControlPlane } from '../../../control-plane/main.ts';
import { startControlPlane } from '../../../control-plane/main.ts';
import type { OnboardingSettings } from '../../../control-plane/onboarding/settings.ts';
import { makeFolder } from '../../support/temporary-folder.ts';

export const operatorToken = 'operator-token-for-tests';
export const gatewayToken = 'gateway-token-for-tests';

/** Control planes that share one PostgreSQL, called in turn. */
export interface Instances {
  readonly planes: readonly ControlPlane[];
  /** The key file that they share. */
  readonly keyFile: string;
  call(method: string, path: string, options?: CallOptions): Promise<Reply>;
  close(): Promise<void>;
}

export interface CallOptions {
  readonly masterKey?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

export async function startInstances(
  databaseUrl: string,
  onboarding: OnboardingSettings,
  count = 2,
  now?: () => Date,
): Promise<Instances> {
  const folders = Array.from({ length: count }, () => makeFolder('plane'));
  const planes: ControlPlane[] = [];
  for (const dataDir of folders) {
    if (planes.length > 0) copyFileSync(join(folders[0]!, 'local.key'), join(dataDir, 'local.key'));
    planes.push(
      await startControlPlane({
        port: 0,
        dataDir,
        databaseUrl,
        operatorToken,
        gatewayToken,
        onboarding,
        ...(now ? { now } : {}),
        logger: pino({ level: process.env.TOLLGATE_TEST_OUTPUT ? 'warn' : 'silent' }),
      }),
    );
  }
  let turn = 0;
  return {
    planes,
    keyFile: join(folders[0]!, 'local.key'),
    async call(method, path, { masterKey, body, headers } = {}) {
      const plane = planes[turn++ % planes.length]!;
      const response = await fetch(plane.url + path, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...(masterKey === undefined ? {} : { 'X-Master-Key': masterKey }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body: (response.headers.get('content-type')?.includes('json')
          ? JSON.parse(text)
          : { text }) as Record<string, unknown>,
      };
    },
    async close() {
      await Promise.all(planes.map((plane) => plane.close()));
    },
  };
}

/** The wire form of a guide's examples: each request with its headers and body, in order. */
export interface GuideRequest {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

/** Reads the ```http blocks of a guide, each with the ```json block that follows it as its body. */
export function readGuide(file: string): GuideRequest[] {
  const text = readFileSync(file, 'utf8');
  const pattern = /```http\n(GET|POST) (\S+)\n[\s\S]*?```(?:\s*```json\n([\s\S]*?)```)?/g;
  return [...text.matchAll(pattern)].map(([, method = '', path = '', body]) => ({
    method,
    path,
    body: body === undefined || method === 'GET' ? undefined : JSON.parse(body),
  }));
}
