import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { ThresholdReporter } from '../../../gateway/usage/threshold-reporter.ts';
import { eventually } from '../../support/processes.ts';

test('thresholds reach the control plane, also when it was away at first', async (t) => {
  const told: string[] = [];
  let away = true;
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += String(piece);
    assert.equal(request.url, '/usage/v1/thresholds');
    assert.equal(request.headers.authorization, 'Bearer token');
    if (!away) told.push(...(JSON.parse(body) as { subject: string }[]).map(({ subject }) => subject));
    response.writeHead(away ? 503 : 200).end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  let failures = 0;
  const reporter = new ThresholdReporter({
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    token: 'token',
    minBackoffMs: 1,
    onFailure: () => failures++,
  });
  const event = {
    scope: 'key',
    policy: 'daily',
    period: 'day',
    limit: 100,
    percent: 80,
    reachedAt: 1,
  } as const;
  reporter.report({ ...event, subject: 'ak_1' });
  reporter.report({ ...event, subject: 'ak_2' });
  await eventually(() => assert.ok(failures > 1));
  away = false;
  reporter.report({ ...event, subject: 'ak_3' });
  await eventually(() => assert.deepEqual(told, ['ak_1', 'ak_2', 'ak_3']));
  await reporter.close();
});
