import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Consumer } from '#contract/access.ts';
import type { Route } from '#contract/registry.ts';
import type { RouteContext } from '../../../gateway/compile.ts';
import { authorize } from '../../../gateway/phases/authorize.ts';
import type { PhaseResult } from '../../../gateway/pipeline.ts';
import { makeExchange, verdict } from '../../support/exchange.ts';

const nobody: Consumer = {
  keyId: null,
  appId: null,
  accountId: null,
  environment: null,
  subject: null,
  scopes: [],
  roles: [],
};

function decide(route: Partial<Route>, consumer: Partial<Consumer> | null): string {
  const phase = authorize({ route: { id: 'r', service: 's', path: '/', ...route } } as RouteContext);
  assert.ok(phase);
  const { exchange } = makeExchange();
  exchange.consumer = consumer === null ? null : { ...nobody, ...consumer };
  return verdict(phase(exchange) as PhaseResult);
}

test('a key of an environment that the route does not serve is refused', () => {
  assert.equal(decide({ environments: ['live'] }, { environment: 'test' }), '403 environment_not_allowed');
  assert.equal(decide({ environments: ['live'] }, { environment: 'live' }), 'pass');
  assert.equal(decide({ environments: ['live', 'test'] }, { environment: 'test' }), 'pass');
});

test('callers without an environment count as live', () => {
  assert.equal(decide({ environments: ['live'] }, null), 'pass');
  assert.equal(decide({ environments: ['test'] }, { subject: 'u' }), '403 environment_not_allowed');
});

test('all scopes are required, or any, as the route says', () => {
  const scopes = ['read', 'write'];
  assert.equal(decide({ authentication: { scopes } }, { scopes: ['read'] }), '403 scope_missing');
  assert.equal(decide({ authentication: { scopes } }, { scopes: ['write', 'read'] }), 'pass');
  const any = { authentication: { scopes, scopesMatch: 'any' as const } };
  assert.equal(decide(any, { scopes: ['read'] }), 'pass');
  assert.equal(decide(any, { scopes: ['admin'] }), '403 scope_missing');
  assert.equal(decide(any, null), '403 scope_missing');
});

test('roles are required likewise', () => {
  const roles = ['ops', 'admin'];
  assert.equal(decide({ authentication: { roles } }, { roles: ['ops'] }), '403 scope_missing');
  assert.equal(decide({ authentication: { roles, rolesMatch: 'any' } }, { roles: ['ops'] }), 'pass');
});

test('a route for anybody that restricts nothing has no such phase', () => {
  const route: Route = { id: 'r', service: 's', path: '/', authentication: 'none' };
  assert.equal(authorize({ route } as RouteContext), null);
});
