import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Balancer, describeUpstream, Target } from '../../../gateway/upstream/balancer.ts';

function targets(...weights: number[]): Target[] {
  return weights.map(
    (weight, i) =>
      new Target(describeUpstream(`http://127.0.0.1:${1000 + i}`, { id: 's', targets: {} }), weight),
  );
}

test('round robin spreads requests by weight, interleaved', () => {
  const all = targets(3, 1);
  const balancer = new Balancer(all, 'round_robin');
  const order = Array.from({ length: 8 }, () => all.indexOf(balancer.choose(0, null)!));
  assert.deepEqual(order, [0, 0, 1, 0, 0, 0, 1, 0]);
});

test('a target of weight 0 gets nothing', () => {
  const balancer = new Balancer(targets(0, 1), 'round_robin');
  for (let i = 0; i < 5; i++) assert.equal(balancer.choose(0, null)!.upstream.port, 1001);
});

test('least pending prefers the target with the fewest requests for its weight', () => {
  const [a, b] = targets(2, 1) as [Target, Target];
  const balancer = new Balancer([a, b], 'least_pending');
  a.pending = 3;
  b.pending = 1;
  assert.equal(balancer.choose(0, null), b);
  a.pending = 1;
  assert.equal(balancer.choose(0, null), a);
});

test('a target rests after repeated failures, longer each time, and serves again after a success', () => {
  const [a, b] = targets(1, 1) as [Target, Target];
  const balancer = new Balancer([a, b], 'round_robin');
  a.fail(0, 3);
  a.fail(0, 3);
  assert.ok([balancer.choose(1, null), balancer.choose(1, null)].includes(a));
  a.fail(0, 3);
  assert.equal(a.ejectedUntil, 1000);
  for (let i = 0; i < 4; i++) assert.equal(balancer.choose(500, null), b);
  a.fail(1000, 3);
  assert.equal(a.ejectedUntil, 3000);
  a.succeed();
  assert.ok([balancer.choose(1001, null), balancer.choose(1001, null)].includes(a));
});

test('when every target rests, the one that is due first is tried', () => {
  const [a, b] = targets(1, 1) as [Target, Target];
  a.ejectedUntil = 100;
  b.ejectedUntil = 50;
  assert.equal(new Balancer([a, b], 'round_robin').choose(0, null), b);
});

test('a single target is always tried; without targets there is none', () => {
  const [only] = targets(1) as [Target];
  only.ejectedUntil = 1e9;
  assert.equal(new Balancer([only], 'round_robin').choose(0, null), only);
  assert.equal(new Balancer([], 'round_robin').choose(0, null), null);
});
