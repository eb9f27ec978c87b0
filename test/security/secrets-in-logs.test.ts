import assert from 'node:assert/strict';
import { createHmac, hash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mintSecret } from '#contract/keys.ts';
import { signatureHeaders } from '../../client/index.ts';
import { startTollgate } from '../support/command-line.ts';
import { startIssuer } from '../support/issuer.ts';
import { makeFolder, removeFolder } from '../support/temporary-folder.ts';
import { echo, startUpstream } from '../support/upstream.ts';

/** Everything that a gateway says of requests, whatever their end: log lines, metrics and answers. */
test('no secret, signature or token shows in logs, metrics or answers', async (t) => {
  const folder = makeFolder('secrets');
  t.after(() => removeFolder(folder));
  const upstream = await startUpstream();
  t.after(() => upstream.stop());
  upstream.handle(echo);
  const issuer = await startIssuer();
  t.after(() => issuer.stop());
  await issuer.addKey('k');

  const known = mintSecret('live', randomBytes(32));
  const unknown = mintSecret('live', randomBytes(32));
  const foreign = `foreign-${randomBytes(16).toString('hex')}`;
  const operator = `op-${randomBytes(16).toString('hex')}`;
  const inQuery = `query-${randomBytes(16).toString('hex')}`;
  const inBody = `body-${randomBytes(16).toString('hex')}`;
  const inUserInfo = `userinfo-${randomBytes(16).toString('hex')}`;
  const seconds = Math.floor(Date.now() / 1000);
  const token = await issuer.sign({ sub: 'user-1', exp: seconds + 600 }, { kid: 'k' });
  const expired = await issuer.sign({ sub: 'user-1', exp: seconds - 600 }, { kid: 'k' });
  const mac = createHmac('sha256', unknown).update(inBody).digest('hex');
  const cookie = `session-${randomBytes(16).toString('hex')}`;

  const faulty = join(folder, 'faulty.ts');
  writeFileSync(
    faulty,
    `export default { name: 'faulty', place: 'before_forwarding', schema: {}, create: () => () => { throw new Error('a fault'); } };`,
  );
  const accessLog = join(folder, 'access.log');
  const config = join(folder, 'tollgate.yaml');
  writeFileSync(
    config,
    `policies: [./faulty.ts]
gateway:
  accessLog: ${accessLog}
  issuers: [{ issuer: "${issuer.url}" }]
services:
  - { id: s, targets: { live: [{ url: "${upstream.url}" }] } }
  - { id: down, targets: { live: [{ url: "http://127.0.0.1:1" }] } }
routes:
  - { id: all, service: s, path: /all, authentication: { accept: [hmac, bearer, signature, jwt] } }
  - { id: down, service: down, path: /down, authentication: { accept: [bearer] } }
  - { id: faulty, service: s, path: /faulty, policies: [{ name: faulty }], authentication: { accept: [bearer] } }
`,
  );
  const gateway = startTollgate(
    ['gateway', '--config', config, '--listen', '0', '--admin-port', '0', '--workers', '1', '--json'],
    {
      env: {
        API_KEYS: `ak_live_known:${hash('sha256', known, 'hex')}:live`,
        TOLLGATE_OPERATOR_TOKEN: operator,
        TOLLGATE_DATA_DIR: join(folder, 'data'),
      },
    },
  );
  t.after(() => gateway.stop());
  const urls = JSON.parse((await gateway.waitFor(/^\{"gateway".*$/m))[0]) as {
    gateway: string;
    admin: string;
  };

  const statuses = new Set<number>();
  let refusals = '';
  const send = async (path: string, headers: Record<string, string>, body?: string): Promise<void> => {
    const response = await fetch(urls.gateway + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { Cookie: `sid=${cookie}`, ...headers },
      ...(body === undefined ? {} : { body }),
    });
    statuses.add(response.status);
    const text = await response.text();
    // What the service echoes is its own affair.
    if (response.status >= 400) refusals += `${[...response.headers].flat().join('\n')}\n${text}\n`;
  };
  const query = `?api_key=${inQuery}`;
  await send(`/all${query}`, { 'X-API-Key': known });
  await send(`/all${query}`, { Authorization: `Bearer ${known}` });
  await send(`/all${query}`, { Authorization: `Bearer ${token}` });
  await send(`/all${query}`, { Authorization: `Bearer ${expired}` });
  await send(`/all${query}`, { Authorization: `Bearer ${token.slice(0, -4)}AAAA` });
  await send(`/all${query}`, { 'X-API-Key': unknown });
  await send(`/all${query}`, { 'X-API-Key': foreign });
  await send(`/all${query}`, { 'X-API-Key': `${known.slice(0, -1)}!` });
  await send(`/all${query}`, { 'X-API-Key': `ak_live_known:${mac}` }, inBody);
  await send(`/all${query}`, { 'X-API-Key': `ak_live_known:${unknown}` }, inBody);
  await send(`/all${query}`, { 'X-API-Key': known, Authorization: `Bearer ${unknown}` });
  await send(`/all${query}`, { 'X-API-Key': `ak_live_known:${unknown.repeat(20)}` });
  await send(`/all${query}`, { Authorization: `Basic ${Buffer.from(`u:${inUserInfo}`).toString('base64')}` });
  const url = `${urls.gateway}/all${query}`;
  const signed = await signatureHeaders(
    { method: 'POST', url, body: inBody },
    { keyId: 'ak_live_known', secret: unknown },
  );
  await send(`/all${query}`, signed, inBody);
  await send(`/down${query}`, { 'X-API-Key': known });
  await send(`/faulty${query}`, { 'X-API-Key': known });
  await send(`/nowhere${query}`, { 'X-API-Key': known });
  for (const authorization of [`Bearer ${operator}`, `Bearer ${operator}x`]) {
    const response = await fetch(`${urls.admin}/admin/v1/keys/ak_live_pushed`, {
      method: 'PUT',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ secret: unknown, nonsense: inBody }),
    });
    refusals += await response.text();
  }
  const metrics = await (await fetch(`${urls.admin}/metrics`)).text();
  await gateway.stop();

  const text = [readFileSync(accessLog, 'utf8'), gateway.output(), metrics, refusals].join('\n');
  for (const status of [200, 400, 401, 404, 500, 502])
    assert.ok(statuses.has(status), `${status} has occurred`);
  assert.match(text, /"path":"\/all"/, 'requests were logged');
  assert.match(text, /a fault/, 'the fault was logged');
  assert.match(metrics, /api_key_auth_attempts_total\{outcome="success"\}/);
  const secrets = {
    ...{ known, unknown, foreign, operator, inQuery, inBody, inUserInfo, mac, cookie },
    token: token.split('.')[2]!,
    expired: expired.split('.')[2]!,
    payload: token.split('.')[1]!,
    signature: signed.Signature!.slice(5, -1),
    basic: Buffer.from(`u:${inUserInfo}`).toString('base64'),
    hashOfKnown: hash('sha256', known, 'hex'),
  };
  for (const [name, secret] of Object.entries(secrets)) {
    const line = text.split('\n').find((candidate) => candidate.includes(secret));
    assert.equal(line, undefined, `${name} shows in: ${line}`);
  }
});
