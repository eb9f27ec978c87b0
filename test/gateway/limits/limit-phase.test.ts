import assert from 'node:assert/strict';
import test from 'node:test';
import type { Limit } from '#contract/limits.ts';
import type { Plan, Route } from '#contract/registry.ts';
import type { Dependencies } from '../../../gateway/dependencies.ts';
import type { Exchange } from '../../../gateway/exchange.ts';
import { overridden } from '../../../gateway/limits/effective-limits.ts';
import { retryAfter } from '../../../gateway/limits/header-fields.ts';
import { LocalLimiter } from '../../../gateway/limits/local/local-limiter.ts';
import { createLimiterMemory } from '../../../gateway/limits/memory/memory.ts';
import { addressGroup } from '../../../gateway/limits/subjects.ts';
import { decorateLimits } from '../../../gateway/phases/decorate-limits.ts';
import { limit } from '../../../gateway/phases/limit.ts';
import { makeExchange, verdict } from '../../support/exchange.ts';
import { MemoryKeys, type TestKey } from '../../support/memory-keys.ts';

const t0 = Date.UTC(2026, 4, 31, 12);

class Bench {
  readonly keys = new MemoryKeys();
  nowMs = t0;
  readonly dependencies = {
    keys: this.keys,
    limiter: new LocalLimiter(createLimiterMemory({ maxCounters: 5000 }), 1),
    now: () => this.nowMs,
  } as unknown as Dependencies;

  key(key: TestKey, plan: Plan | null = null): void {
    this.keys.put(key, null, plan);
  }

  /** What the phases make of a request: the verdict and the fields of the answer. */
  send(
    route: Partial<Route>,
    caller: { keyId?: string; subject?: string; ip?: string } = {},
    upstreamHeaders: string[] = [],
  ): { verdict: string; exchange: Exchange; headers: Map<string, string>; problem: Record<string, unknown> } {
    const full: Route = { id: 'r', service: 's', path: '/', ...route };
    const context = { route: full, service: null, version: null, versions: new Map() };
    const { exchange, downstream } = makeExchange({ remoteAddress: caller.ip ?? '192.0.2.1' });
    const key = caller.keyId === undefined ? null : this.keys.find(caller.keyId)!.key;
    exchange.key = key;
    if (key !== null || caller.subject !== undefined) {
      exchange.consumer = {
        keyId: key?.id ?? null,
        appId: key?.app ?? null,
        accountId: key?.account ?? null,
        environment: null,
        subject: caller.subject ?? null,
        scopes: [],
        roles: [],
      };
    }
    const decorate = decorateLimits(context, this.dependencies);
    exchange.route = { responsePhases: decorate ? [decorate] : [] } as unknown as Exchange['route'];
    const phase = limit(context, this.dependencies);
    const result = phase?.(exchange);
    assert.ok(!(result instanceof Promise));
    if (result === undefined) exchange.answer(200, upstreamHeaders, null);
    else if (typeof result === 'object') exchange.refuse(result);
    const headers = new Map<string, string>();
    for (let i = 0; i < downstream.headers.length; i += 2) {
      const name = downstream.headers[i]!.toLowerCase();
      assert.ok(!headers.has(name), `${name} twice`);
      headers.set(name, downstream.headers[i + 1]!);
    }
    const problem = downstream.status === 429 ? JSON.parse(String(downstream.body)) : {};
    return { verdict: verdict(result), exchange, headers, problem };
  }
}

test('a key without a plan is under the default plan, and every answer says where it stands', () => {
  const bench = new Bench();
  bench.key({ id: 'ak' });
  const first = bench.send({}, { keyId: 'ak' });
  assert.equal(first.verdict, 'pass');
  assert.equal(first.exchange.limitOutcome, 'admitted');
  assert.equal(first.headers.get('ratelimit-policy'), '"burst";q=600;w=360, "daily";q=1000000;w=86400');
  assert.equal(first.headers.get('ratelimit'), '"burst";r=599;t=1, "daily";r=999999;t=43200');
  assert.equal(first.headers.get('x-ratelimit-limit'), '600');
  assert.equal(first.headers.get('x-ratelimit-remaining'), '599');
  assert.equal(first.headers.get('x-ratelimit-reset'), '1');
  assert.equal(first.headers.has('retry-after'), false);
  for (let i = 1; i < 600; i++) assert.equal(bench.send({}, { keyId: 'ak' }).verdict, 'pass');
  const refused = bench.send({}, { keyId: 'ak' });
  assert.equal(refused.verdict, '429 rate_limited');
  assert.equal(refused.exchange.limitOutcome, 'refused');
  assert.deepEqual(refused.problem.violated, ['burst']);
  assert.equal(refused.headers.get('x-ratelimit-remaining'), '0');
  assert.match(refused.headers.get('retry-after')!, /^[12]$/);
  assert.equal(refused.headers.get('cache-control'), 'no-store');
  bench.nowMs += 600;
  assert.equal(bench.send({}, { keyId: 'ak' }).verdict, 'pass');
});

test('a key’s quota stands above its plan, and a change of it takes effect without forgetting', () => {
  const bench = new Bench();
  const plan: Plan = {
    id: 'p',
    limits: [{ kind: 'token_bucket', name: 'burst', capacity: 3, refill: 1, intervalMs: 60_000 }],
  };
  bench.key({ id: 'ak' }, plan);
  for (let i = 0; i < 3; i++) assert.equal(bench.send({}, { keyId: 'ak' }).verdict, 'pass');
  assert.equal(bench.send({}, { keyId: 'ak' }).verdict, '429 rate_limited');
  bench.key({ id: 'ak', quota: { burst: 5, sustainedPerMinute: 2, daily: 4 } }, plan);
  assert.equal(
    bench.send({}, { keyId: 'ak' }).headers.get('ratelimit'),
    '"burst";r=1;t=120, "daily";r=3;t=43200',
  );
  assert.equal(bench.send({}, { keyId: 'ak' }).verdict, 'pass');
  assert.equal(bench.send({}, { keyId: 'ak' }).verdict, '429 rate_limited');
});

test('overrides fill in what a plan lacks and leave its other limits alone', () => {
  const window: Limit = { kind: 'sliding_window', name: 'w', limit: 1, windowMs: 1000 };
  const result = overridden([window], { burst: 7, overage: 'charge' });
  assert.deepEqual(result, [
    window,
    { kind: 'token_bucket', name: 'burst', capacity: 7, refill: 100, intervalMs: 60_000 },
    { kind: 'quota', name: 'daily', limit: 1_000_000, period: 'day', overage: 'charge' },
  ]);
});

test('limits of a route count per route, and beside those of the plan', () => {
  const bench = new Bench();
  bench.key({ id: 'ak' });
  const limits: Limit[] = [
    { kind: 'token_bucket', name: 'burst', capacity: 2, refill: 1, intervalMs: 60_000 },
  ];
  for (const id of ['a', 'b']) {
    for (let i = 0; i < 2; i++) assert.equal(bench.send({ id, limits }, { keyId: 'ak' }).verdict, 'pass');
    const refused = bench.send({ id, limits }, { keyId: 'ak' });
    assert.equal(refused.verdict, '429 rate_limited');
    assert.match(
      refused.headers.get('ratelimit-policy')!,
      /^"burst";q=600;w=360, "daily".*, "burst-2";q=2;w=120$/,
    );
  }
  assert.equal(bench.send({}, { keyId: 'ak' }).headers.get('x-ratelimit-remaining'), '595');
});

test('every scope counts its own subject', () => {
  const cases: [Limit['scope'], object, object][] = [
    ['key', { keyId: 'k1' }, { keyId: 'k2' }],
    ['app', { keyId: 'k1' }, { keyId: 'k3' }],
    ['account', { keyId: 'k1' }, { keyId: 'k4' }],
    ['ip', { ip: '192.0.2.1' }, { ip: '192.0.2.2' }],
    ['ip', { ip: '2001:db8::1' }, { ip: '2001:db8:0:1::1' }],
    ['subject', { subject: 'alice' }, { subject: 'bob' }],
  ];
  for (const [scope, one, other] of cases) {
    const bench = new Bench();
    bench.key({ id: 'k1', app: 'a1', account: 'c1' });
    bench.key({ id: 'k2', app: 'a1', account: 'c1' });
    bench.key({ id: 'k3', app: 'a2', account: 'c1' });
    bench.key({ id: 'k4', app: 'a2', account: 'c2' });
    const route = {
      applyPlan: false,
      limits: [{ kind: 'quota', name: 'q', scope, limit: 1, period: 'day' } as Limit],
    };
    assert.equal(bench.send(route, one).verdict, 'pass', String(scope));
    assert.equal(bench.send(route, one).verdict, '429 quota_exceeded', String(scope));
    assert.equal(bench.send(route, other).verdict, 'pass', String(scope));
  }
  const bench = new Bench();
  const whole: Partial<Route> = {
    applyPlan: false,
    limits: [{ kind: 'quota', name: 'q', scope: 'route', limit: 1, period: 'day' }],
  };
  assert.equal(bench.send(whole, { ip: '192.0.2.1' }).verdict, 'pass');
  assert.equal(bench.send(whole, { ip: '192.0.2.2' }).verdict, '429 quota_exceeded');
});

test('a caller without the counted property is counted by what it has, never let through uncounted', () => {
  const bench = new Bench();
  const route: Partial<Route> = {
    authentication: 'none',
    limits: [{ kind: 'quota', name: 'q', scope: 'key', limit: 1, period: 'day' }],
  };
  assert.equal(bench.send(route, { ip: '192.0.2.1' }).verdict, 'pass');
  assert.equal(bench.send(route, { ip: '192.0.2.1' }).verdict, '429 quota_exceeded');
  assert.equal(bench.send(route, { ip: '192.0.2.2' }).verdict, 'pass');
});

test('addresses of one IPv6 network count as one', () => {
  assert.equal(addressGroup('192.0.2.1'), '192.0.2.1');
  assert.equal(addressGroup('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(addressGroup('2001:db8::1'), '2001:db8:0:0::/64');
  assert.equal(addressGroup('2001:0DB8:0000:0000:ffff::'), '2001:db8:0:0::/64');
  assert.equal(addressGroup('::1'), '0:0:0:0::/64');
});

test('overage charge marks the request so that it is billed', () => {
  const bench = new Bench();
  bench.key({ id: 'ak', quota: { daily: 1, overage: 'charge' } });
  assert.equal(bench.send({}, { keyId: 'ak' }).exchange.overage, false);
  const over = bench.send({}, { keyId: 'ak' });
  assert.equal(over.verdict, 'pass');
  assert.equal(over.exchange.overage, true);
  assert.equal(over.exchange.limitOutcome, 'charged');
  assert.equal(over.headers.get('x-ratelimit-overage'), 'charge');
});

test('a limit in shadow is neither shown nor enforced, only reported', () => {
  const bench = new Bench();
  const route: Partial<Route> = {
    authentication: 'none',
    limits: [{ kind: 'quota', name: 'q', limit: 1, period: 'day', shadow: true }],
  };
  bench.send(route);
  const second = bench.send(route);
  assert.equal(second.verdict, 'pass');
  assert.equal(second.exchange.limitOutcome, 'shadow');
  assert.equal(second.headers.has('ratelimit'), false);
});

test('the upstream’s cost replaces the route’s, and its own limit fields are not passed on', () => {
  const bench = new Bench();
  bench.key({ id: 'ak' });
  const sent = bench.send({ cost: 2 }, { keyId: 'ak' }, [
    ...['x-ratelimit-cost', '12', 'ratelimit', '"theirs";r=1', 'x-ratelimit-remaining', '7'],
    ...['x-other', 'kept'],
  ]);
  assert.equal(sent.headers.get('x-ratelimit-remaining'), '588');
  assert.equal(sent.headers.get('x-other'), 'kept');
  assert.equal(sent.headers.has('x-ratelimit-cost'), false);
  assert.equal(bench.send({ cost: 2 }, { keyId: 'ak' }).headers.get('x-ratelimit-remaining'), '586');
  for (const invalid of ['-5', '1e9', '', '99999999', 'x']) {
    const before = bench.send({ cost: 0 }, { keyId: 'ak' }, ['x-ratelimit-cost', invalid]);
    assert.equal(before.headers.get('x-ratelimit-remaining'), '586');
  }
});

test('a slot of a concurrency limit comes back when the exchange ends, however it ends', () => {
  const bench = new Bench();
  const route: Partial<Route> = {
    authentication: 'none',
    limits: [{ kind: 'concurrency', name: 'parallel', limit: 1 }],
  };
  const first = bench.send(route);
  assert.equal(first.verdict, 'pass');
  const refused = bench.send(route);
  assert.equal(refused.verdict, '429 concurrency_exceeded');
  assert.equal(refused.headers.get('ratelimit-policy'), '"parallel";q=1;qu="concurrent-requests"');
  first.exchange.abandon();
  const second = bench.send(route);
  assert.equal(second.verdict, 'pass');
  second.exchange.onDownstreamEnd();
  second.exchange.onDownstreamClose();
  assert.equal(bench.send(route).verdict, 'pass');
});

test('routes without keys and without limits have no limit phase', () => {
  const bench = new Bench();
  const context = (route: Partial<Route>) => ({
    route: { id: 'r', service: 's', path: '/', ...route },
    service: null,
    version: null,
    versions: new Map(),
  });
  assert.equal(limit(context({ authentication: 'none' }), bench.dependencies), null);
  assert.equal(limit(context({ applyPlan: false }), bench.dependencies), null);
  assert.equal(decorateLimits(context({ authentication: 'none' }), bench.dependencies), null);
  assert.notEqual(limit(context({}), bench.dependencies), null);
});

test('Retry-After is never too early and spreads those who were refused together', () => {
  for (const random of [0, 0.5, 0.999]) {
    for (const ms of [1, 600, 999, 1000, 60_000, 86_400_000]) {
      const seconds = Number(retryAfter(ms, random));
      assert.ok(seconds * 1000 >= ms && seconds * 1000 <= ms * 1.1 + 62_000);
    }
  }
  assert.notEqual(retryAfter(60_000, 0), retryAfter(60_000, 0.9));
});
