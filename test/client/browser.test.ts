import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { mintSecret } from '#contract/keys.ts';
import { clientFile } from '../../client/build.ts';
import { startBrowser } from '../support/browser.ts';
import { startTestGateway } from '../support/gateway.ts';
import { echo, startUpstream } from '../support/upstream.ts';

test('a page of another origin signs with the module as it is, and passes preflight and gateway', async (t) => {
  const secret = mintSecret('live', randomBytes(32));
  const upstream = await startUpstream();
  t.after(() => upstream.stop());
  upstream.handle(echo);
  const site = createServer((request, response) => {
    const isModule = request.url === '/tollgate-client.js';
    response.writeHead(200, { 'content-type': isModule ? 'text/javascript' : 'text/html' });
    response.end(isModule ? readFileSync(clientFile) : '<!doctype html><title>Shop</title>');
  }).listen(0, '127.0.0.1');
  await once(site, 'listening');
  t.after(() => {
    site.closeAllConnections();
    site.close();
  });
  const origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  const gateway = await startTestGateway({
    services: [{ id: 's', targets: { live: [{ url: upstream.url }] } }],
    routes: [
      {
        id: 'r',
        service: 's',
        path: '/v1',
        methods: ['POST'],
        authentication: { accept: ['signature'] },
        cors: { origins: [origin] },
      },
    ],
  });
  t.after(() => gateway.stop());
  gateway.keys.put({ id: 'ak_live_page', environment: 'live', secrets: [{ plain: secret }] });
  const browser = await startBrowser();
  t.after(() => browser.close());
  const page = await browser.newPage();
  await page.goto(origin);
  const script = `(async () => {
    const { sign } = await import('/tollgate-client.js');
    const call = async (secret) => {
      const request = new Request(${JSON.stringify(`${gateway.url}/v1/payments?x=1`)}, { method: 'POST', body: '{"amount":1}' });
      const response = await fetch(await sign(request, { keyId: 'ak_live_page', secret }));
      return { status: response.status, limit: response.headers.get('RateLimit'), body: await response.json() };
    };
    return [await call(${JSON.stringify(secret)}), await call('another')];
  })()`;
  const [passed, refused] = (await page.evaluate(script)) as {
    status: number;
    limit: string | null;
    body: Record<string, unknown>;
  }[];
  assert.equal(passed!.status, 200);
  assert.equal(passed!.body.body, '{"amount":1}');
  assert.ok(passed!.limit, 'the page may read the limits');
  assert.equal(refused!.status, 401);
  assert.equal(refused!.body.code, 'credentials_invalid');
});
