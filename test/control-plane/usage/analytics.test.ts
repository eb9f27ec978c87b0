import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { UsageEvent } from '#contract/usage.ts';
import { joinBatches, usageBatchesMediaType } from '#contract/usage-batch.ts';
import { makeBatch, makeEvent } from '../../gateway/usage/events.ts';
import { gatewayToken, onEachEngine, startTestPlane, type TestPlane } from '../../support/control-plane.ts';
import { eventually } from '../../support/processes.ts';

const dayMs = 86_400_000;
const today = Math.floor(Date.now() / dayMs) * dayMs;
const dayText = (time: number): string => new Date(time).toISOString().slice(0, 10);

onEachEngine('usage API', (engine) => {
  let plane: TestPlane;
  let token: string;
  let appId: string;
  let keyId: string;
  let sequence = 0;

  const send = async (events: readonly UsageEvent[]): Promise<void> => {
    const response = await post(joinBatches([makeBatch('test', ++sequence, events)]));
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { accepted: 1, duplicates: 0, dead_lettered: 0 });
  };
  const post = (body: Uint8Array, authorization = `Bearer ${gatewayToken}`, type = usageBatchesMediaType) =>
    fetch(`${plane.url}/usage/v1/batches`, {
      method: 'POST',
      body: body as never,
      headers: { authorization, 'content-type': type },
    });
  const event = (changes: Partial<UsageEvent> = {}): UsageEvent =>
    makeEvent({ appId, keyId, accountId: 'acc', occurredAt: today + 1000, ...changes });
  const get = <T>(path: string, as: string | undefined = token) =>
    plane.call<T>('GET', path, undefined, { token: as });

  before(async () => {
    plane = await startTestPlane(engine);
    token = await plane.tokenOf('ana@example.com');
    const made = await plane.makeKey('ana@example.com');
    appId = made.appId;
    keyId = made.keyId;
    const yesterday = today - dayMs;
    await send([
      event({ occurredAt: yesterday, latencyMs: 100, country: 'SN' }),
      event({ occurredAt: yesterday + 1, latencyMs: 200, status: 500, country: 'CI' }),
      event({ occurredAt: yesterday + 2, latencyMs: 76.2, version: 'v2', country: 'SN' }),
      event({ latencyMs: 10, overage: true }),
      event({ latencyMs: 30, status: 404, keyId: 'other', routeId: 'refunds', bytesOut: 5 }),
      event({ appId: 'someone-else', keyId: 'ak_live_else' }),
      event({ appId: null, keyId: null, accountId: null, status: 401 }),
    ]);
  });
  after(() => plane.stop());

  test('usage by day has the form that the portal documents', async () => {
    const reply = await get(`/api/dev/apps/${appId}/usage?days=30`);
    assert.equal(reply.status, 200);
    assert.deepEqual(reply.body, [
      { day: dayText(today - dayMs), calls: 3, errors: 1, avg_latency_ms: 125.4 },
      { day: dayText(today), calls: 2, errors: 1, avg_latency_ms: 20 },
    ]);
    const one = await get<unknown[]>(`/api/dev/apps/${appId}/usage?days=1`);
    assert.equal(one.body.length, 1);
  });

  test('an app is shown to its own account and the operator only', async () => {
    const stranger = await plane.tokenOf('bob@example.com');
    for (const path of ['usage', 'usage/series', 'quota', 'usage/live']) {
      assert.equal((await get(`/api/dev/apps/${appId}/${path}`, stranger)).status, 404, path);
      assert.equal(
        (await plane.call('GET', `/api/dev/apps/${appId}/${path}`, undefined, { token: null })).status,
        401,
      );
    }
    assert.equal((await plane.call('GET', `/api/dev/apps/${appId}/usage`)).status, 200);
  });

  test('a series can be split by each dimension and filtered by the others', async () => {
    type Series = { data: { time: string; group?: string | null; calls: number; errors: number }[] };
    const split = async (query: string) => {
      const { status, body } = await get<Series>(`/api/dev/apps/${appId}/usage/series?${query}`);
      assert.equal(status, 200, JSON.stringify(body));
      return body.data.map(({ time, group, calls }) => [time, group, calls]);
    };
    const [before, now] = [dayText(today - dayMs), dayText(today)];
    assert.deepEqual(await split('group_by=version'), [
      [before, 'v1', 2],
      [before, 'v2', 1],
      [now, 'v1', 2],
    ]);
    assert.deepEqual(await split('group_by=status&version=v1'), [
      [before, '200', 1],
      [before, '500', 1],
      [now, '200', 1],
      [now, '404', 1],
    ]);
    assert.deepEqual(await split('group_by=country&status=500'), [[before, 'CI', 1]]);
    assert.deepEqual(await split(`group_by=key&from=${now}T00:00:00Z`), [
      [now, keyId, 1],
      [now, 'other', 1],
    ]);
    assert.deepEqual(await split('group_by=route&key=other'), [[now, 'refunds', 1]]);
    const hours = await get<Series>(
      `/api/dev/apps/${appId}/usage/series?interval=hour&from=${before}T00:00:00Z`,
    );
    assert.deepEqual(
      hours.body.data.map(({ time, calls }) => [time, calls]),
      [
        [`${before}T00:00:00.000Z`, 3],
        [`${now}T00:00:00.000Z`, 2],
      ],
    );
    const minutes = await get<Series>(
      `/api/dev/apps/${appId}/usage/series?interval=minute&from=${now}T00:00:00Z&to=${now}T00:01:00Z`,
    );
    assert.equal(minutes.body.data[0]!.calls, 2);
  });

  test('a point has error rate, percentiles and volume', async () => {
    const { body } = await get<{ data: Record<string, number>[] }>(
      `/api/dev/apps/${appId}/usage/series?to=${dayText(today)}T00:00:00Z`,
    );
    const { p50_ms, p95_ms, p99_ms, ...point } = body.data[0]!;
    assert.deepEqual(point, {
      time: dayText(today - dayMs),
      calls: 3,
      errors: 1,
      error_rate: 0.333333,
      avg_latency_ms: 125.4,
      bytes_in: 300,
      bytes_out: 600,
      overage_calls: 0,
    });
    assert.ok(
      Math.abs(p50_ms! - 100) <= 1.1 && Math.abs(p95_ms! - 100) <= 1.1 && Math.abs(p99_ms! - 100) <= 1.1,
    );
  });

  test('too much at once and nonsense are refused', async () => {
    for (const query of [
      'interval=minute&from=2020-01-01T00:00:00Z',
      'from=2025-01-02T00:00:00Z&to=2025-01-01T00:00:00Z',
      'interval=week',
      'group_by=secret',
      'from=yesterday',
      "status=2'",
    ]) {
      assert.equal((await get(`/api/dev/apps/${appId}/usage/series?${query}`)).status, 400, query);
    }
    assert.equal((await get(`/api/dev/apps/${appId}/usage?days=0`)).status, 400);
  });

  test('the same series comes as CSV', async () => {
    const response = await fetch(
      `${plane.url}/api/dev/apps/${appId}/usage/series?group_by=status&format=csv`,
      {
        headers: { authorization: `Bearer ${token}` },
      },
    );
    assert.equal(response.headers.get('content-type'), 'text/csv; charset=utf-8');
    assert.match(response.headers.get('content-disposition')!, /^attachment; filename="usage-day.csv"$/);
    const lines = (await response.text()).split('\r\n');
    assert.equal(
      lines[0],
      'time,group,calls,errors,error_rate,avg_latency_ms,p50_ms,p95_ms,p99_ms,bytes_in,bytes_out,overage_calls',
    );
    assert.equal(lines.length, 1 + 4 + 1);
    assert.match(lines[1]!, new RegExp(`^${dayText(today - dayMs)},200,2,0,0,88.1,`));
  });

  test('the quota view tells what is used and left, by the quota of the key or else of its plan', async () => {
    type Quotas = { key_id: string; today: Record<string, unknown>; month: Record<string, unknown> }[];
    const before = await get<Quotas>(`/api/dev/apps/${appId}/quota`);
    assert.equal(before.body.length, 1);
    assert.equal(before.body[0]!.key_id, keyId);
    assert.equal(before.body[0]!.today.limit, 1_000_000);
    assert.equal(before.body[0]!.today.used, 1);
    assert.equal(before.body[0]!.today.remaining, 999_999);
    assert.equal(before.body[0]!.today.overage_calls, 1);
    assert.equal(before.body[0]!.today.resets_at, new Date(today + dayMs).toISOString());
    assert.equal(before.body[0]!.month.limit, null);
    assert.equal(before.body[0]!.month.remaining, null);
  });

  test('billing totals of a month equal its events, calls without a key included', async () => {
    const month = dayText(today).slice(0, 7);
    type Billing = { totals: Record<string, number>; data: Record<string, unknown>[] };
    const { body } = await plane.call<Billing>('GET', `/admin/v1/billing/usage?month=${month}`);
    const isSameMonth = dayText(today - dayMs).startsWith(month);
    assert.equal(body.totals.calls, isSameMonth ? 7 : 4);
    assert.equal(
      body.data.reduce((sum, line) => sum + (line.calls as number), 0),
      body.totals.calls,
    );
    const key = body.data.find((line) => line.key_id === keyId)!;
    assert.equal(key.overage_calls, 1);
    assert.equal(key.app_id, appId);
    assert.ok(body.data.some((line) => line.key_id === null && line.calls === 1));
    assert.equal((await get(`/admin/v1/billing/usage?month=${month}`)).status, 403);
    assert.equal((await plane.call('GET', '/admin/v1/billing/usage?month=2025-13')).status, 400);
  });

  test('adoption, inactive apps and migration progress name versions, apps and owners', async () => {
    type Adoption = { day: string; version: string | null; calls: number; apps: number }[];
    const adoption = await plane.call<Adoption>('GET', '/api/dev/usage/adoption?days=2');
    assert.deepEqual(
      adoption.body.map(({ day, version, calls, apps }) => [day, version, calls, apps]),
      [
        [dayText(today - dayMs), 'v1', 2, 1],
        [dayText(today - dayMs), 'v2', 1, 1],
        [dayText(today), 'v1', 4, 2],
      ],
    );
    const idle = await plane.makeKey('idle@example.com');
    const inactive = await plane.call<{ app_id: string }[]>('GET', '/api/dev/usage/inactive?days=1');
    assert.deepEqual(inactive.body, [], 'new apps are not yet inactive');
    const put = (id: string, body: object) => plane.call('PUT', `/admin/v1/versions/${id}`, { id, ...body });
    assert.ok((await put('v2', { state: 'active' })).status < 300);
    assert.ok(
      (await put('v1', { state: 'deprecated', successor: 'v2', sunsetAt: '2030-01-01T00:00:00Z' })).status <
        300,
    );
    type Migrations = {
      version: string;
      migrated: number;
      apps: { app_id: string; owner: string; calls: number }[];
    }[];
    const migrations = await plane.call<Migrations>('GET', '/admin/v1/usage/migrations');
    assert.equal(migrations.body.length, 1);
    assert.equal(migrations.body[0]!.version, 'v1');
    assert.equal(migrations.body[0]!.migrated, Number((1 / 7).toFixed(4)));
    const straggler = migrations.body[0]!.apps.find((app) => app.app_id === appId)!;
    assert.equal(straggler.owner, 'ana@example.com');
    assert.equal(straggler.calls, 4);
    assert.ok(idle.appId);
  });

  test('the live tail shows the requests of the app as they happen, without queries, bodies or secrets', async () => {
    const stop = new AbortController();
    const response = await fetch(`${plane.url}/api/dev/apps/${appId}/usage/live`, {
      headers: { authorization: `Bearer ${token}` },
      signal: stop.signal,
    });
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    let text = '';
    const reading = (async () => {
      for await (const chunk of response.body!) text += Buffer.from(chunk).toString();
    })().catch(() => {});
    await send([
      event({ id: 'tail-1', occurredAt: Date.now() }),
      event({ id: 'tail-other', occurredAt: Date.now(), appId: 'someone-else' }),
    ]);
    await eventually(() => assert.match(text, /tail-1/));
    await send([event({ id: 'tail-late', occurredAt: Date.now() - 300 })]);
    await eventually(() => assert.match(text, /tail-late/));
    stop.abort();
    await reading;
    assert.doesNotMatch(text, /tail-other/);
    assert.equal(text.match(/tail-1/g)!.length, 1);
    const shown = JSON.parse(/data: (.*tail-1.*)/.exec(text)![1]!);
    assert.deepEqual(Object.keys(shown).sort(), [
      ...[
        'cache_state',
        'country',
        'endpoint',
        'environment',
        'key_id',
        'latency_ms',
        'limit_outcome',
        'method',
      ],
      ...['occurred_at', 'request_id', 'status_code', 'version'],
    ]);
  });

  test('only gateways may send usage, and only as batches', async () => {
    const good = joinBatches([makeBatch('auth', 1, [event()])]);
    assert.equal((await post(good, `Bearer ${token}`)).status, 401);
    assert.equal((await post(good, '')).status, 401);
    assert.equal((await post(good, undefined, 'application/json')).status, 400);
    assert.equal((await post(Buffer.from('not batches at all'))).status, 400);
  });

  test('batches set aside can be listed, tried again and discarded', async () => {
    const broken = makeBatch('broken', 1, [event()]).slice(0, 50);
    const answer = (await (await post(joinBatches([broken]))).json()) as Record<string, number>;
    assert.equal(answer.dead_lettered, 1);
    type Letters = { data: { id: number; reason: string }[] };
    const list = await plane.call<Letters>('GET', '/admin/v1/usage/dead-letters');
    assert.match(list.body.data[0]!.reason, /checksum/);
    const { id } = list.body.data[0]!;
    const retry = await plane.call('POST', `/admin/v1/usage/dead-letters/${id}/retry`);
    assert.deepEqual(retry.body, { ingested: false });
    assert.equal((await plane.call('DELETE', `/admin/v1/usage/dead-letters/${id}`)).status, 204);
    assert.equal((await plane.call('DELETE', `/admin/v1/usage/dead-letters/${id}`)).status, 404);
  });

  test('metrics show what was ingested', async () => {
    const text = await (
      await fetch(`${plane.url}/metrics`, { headers: { authorization: 'Bearer operator-token-for-tests' } })
    ).text();
    assert.match(text, /^tollgate_usage_events_ingested_total [1-9]/m);
    assert.match(text, /^tollgate_usage_ingest_lag_seconds /m);
    assert.match(text, /^tollgate_usage_dead_letters 0$/m);
  });
});
