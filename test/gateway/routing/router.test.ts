import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Route } from '#contract/registry.ts';
import type { CompiledRoute } from '../../../gateway/compile.ts';
import { Router } from '../../../gateway/routing/router.ts';

function routerOf(...routes: (Partial<Route> & { id: string; path: string })[]): Router {
  return new Router(
    routes.map(
      (route): CompiledRoute => ({
        config: { service: 's', ...route },
        id: route.id,
        serviceId: 's',
        versionId: route.version ?? null,
        methods: route.methods ? new Set(route.methods) : null,
        phases: [],
        decisionPhases: [],
        responsePhases: [],
      }),
    ),
  );
}

function chosen(
  router: Router,
  path: string,
  method = 'GET',
  host = 'h',
  version: string | null = null,
): unknown {
  const match = router.match(host, path, method, version);
  return match === null ? null : 'allow' in match ? match.allow : match.id;
}

test('the longest prefix wins, on whole segments only', () => {
  const router = routerOf(
    { id: 'root', path: '/' },
    { id: 'v1', path: '/v1' },
    { id: 'pay', path: '/v1/payments' },
  );
  assert.equal(chosen(router, '/v1/payments/7'), 'pay');
  assert.equal(chosen(router, '/v1/payments'), 'pay');
  assert.equal(chosen(router, '/v1/paymentsx'), 'v1');
  assert.equal(chosen(router, '/v12'), 'root');
  assert.equal(chosen(router, '/'), 'root');
});

test('without a root route, what no prefix covers matches nothing', () => {
  const router = routerOf({ id: 'v1', path: '/v1' });
  assert.equal(chosen(router, '/'), null);
  assert.equal(chosen(router, '/v2/v1'), null);
});

test('a method no candidate accepts reports all that would be accepted', () => {
  const router = routerOf(
    { id: 'a', path: '/x', methods: ['GET'] },
    { id: 'b', path: '/x', methods: ['POST'] },
  );
  assert.equal(chosen(router, '/x', 'POST'), 'b');
  assert.deepEqual(chosen(router, '/x', 'DELETE'), ['GET', 'POST']);
});

test('a shorter prefix takes the methods that the longer one does not accept', () => {
  const router = routerOf({ id: 'all', path: '/' }, { id: 'read', path: '/x', methods: ['GET'] });
  assert.equal(chosen(router, '/x', 'POST'), 'all');
});

test('an exact host is preferred to a wildcard, that to no host; ports do not matter', () => {
  const router = routerOf(
    { id: 'any', path: '/' },
    { id: 'wild', path: '/', hosts: ['*.example.com'] },
    { id: 'deep', path: '/', hosts: ['*.eu.example.com'] },
    { id: 'exact', path: '/', hosts: ['api.example.com'] },
  );
  assert.equal(chosen(router, '/', 'GET', 'api.example.com:8080'), 'exact');
  assert.equal(chosen(router, '/', 'GET', 'x.example.com'), 'wild');
  assert.equal(chosen(router, '/', 'GET', 'x.eu.example.com'), 'deep');
  assert.equal(chosen(router, '/', 'GET', 'example.com'), 'any');
  assert.equal(chosen(router, '/', 'GET', '[::1]:8080'), 'any');
});

test('the version asked for is chosen among routes of one path', () => {
  const router = routerOf({ id: 'one', path: '/p', version: 'v1' }, { id: 'two', path: '/p', version: 'v2' });
  assert.equal(chosen(router, '/p', 'GET', 'h', 'v2'), 'two');
  assert.equal(chosen(router, '/p', 'GET', 'h', null), 'one');
});

test('matching agrees with the definition: the longest declared whole-segment prefix', () => {
  const segment = fc.constantFrom('a', 'b', 'ab');
  const path = fc.array(segment, { maxLength: 4 }).map((parts) => `/${parts.join('/')}`);
  fc.assert(
    fc.property(fc.uniqueArray(path, { maxLength: 6 }), path, (prefixes, asked) => {
      const router = routerOf(...prefixes.map((prefix) => ({ id: prefix, path: prefix })));
      const expected = prefixes
        .filter((prefix) => prefix === '/' || asked === prefix || asked.startsWith(`${prefix}/`))
        .sort((a, b) => b.length - a.length)[0];
      assert.equal(chosen(router, asked), expected ?? null);
    }),
  );
});
