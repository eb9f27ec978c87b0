import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Timer, TimerWheel } from '../../../../gateway/wire/timers/timer-wheel.ts';

interface Clock {
  now: number;
}

function makeWheel(slots = 16): {
  wheel: TimerWheel;
  clock: Clock;
  fired: Map<Timer, number>;
  timer(): Timer;
} {
  const clock = { now: 0 };
  const wheel = new TimerWheel(10, () => clock.now, slots);
  const fired = new Map<Timer, number>();
  const owner = { onDeadline: (timer: Timer): void => void fired.set(timer, clock.now) };
  return { wheel, clock, fired, timer: () => wheel.timer(owner) };
}

function runTo(wheel: TimerWheel, clock: Clock, end: number): void {
  for (; clock.now < end; clock.now += 10) wheel.advance();
}

test('a deadline fires once, never early and at most two ticks late, also beyond one turn of the wheel', () => {
  for (const delay of [0, 1, 10, 150, 160, 170, 1000, 12_345]) {
    const { wheel, clock, fired, timer } = makeWheel();
    const one = timer();
    wheel.arm(one, delay);
    runTo(wheel, clock, delay + 1000);
    const at = fired.get(one);
    assert.ok(at !== undefined && at >= delay && at <= delay + 30, `${delay} fired at ${at}`);
    assert.equal(one.armed, false);
  }
});

test('a deadline put off, brought forward, disarmed or removed is kept to', () => {
  const { wheel, clock, fired, timer } = makeWheel();
  const [off, forward, disarmed, removed] = [timer(), timer(), timer(), timer()];
  for (const each of [off, disarmed, removed]) wheel.arm(each!, 100);
  wheel.arm(forward!, 10_000);
  wheel.arm(off!, 500);
  wheel.arm(forward!, 50);
  wheel.disarm(disarmed!);
  wheel.remove(removed!);
  runTo(wheel, clock, 2000);
  assert.ok(fired.get(off!)! >= 500 && fired.get(off!)! <= 530);
  assert.ok(fired.get(forward!)! >= 50 && fired.get(forward!)! <= 80);
  assert.deepEqual([fired.has(disarmed!), fired.has(removed!)], [false, false]);
});

test('what an owner does to other timers while it is called does not disturb the wheel', () => {
  const clock = { now: 0 };
  const wheel = new TimerWheel(10, () => clock.now, 16);
  const fired: string[] = [];
  const timers: Record<string, Timer> = {};
  const add = (name: string, act: () => void): void => {
    timers[name] = wheel.timer({
      onDeadline: () => {
        fired.push(name);
        act();
      },
    });
  };
  add('a', () => wheel.remove(timers.b!));
  add('b', () => wheel.remove(timers.a!));
  add('c', () => {
    wheel.arm(timers.c!, 100);
    wheel.arm(timers.d!, 500);
  });
  add('d', () => {});
  for (const timer of Object.values(timers)) wheel.arm(timer, 50);
  runTo(wheel, clock, 350);
  assert.equal(fired.filter((name) => name === 'a' || name === 'b').length, 1);
  assert.ok(fired.filter((name) => name === 'c').length >= 2);
  runTo(wheel, clock, 1000);
  assert.ok(fired.includes('d'));
});

test('any sequence of arming, disarming, removing and turning fires exactly what is due', () => {
  const step = fc.record({
    timer: fc.nat(4),
    action: fc.constantFrom('arm', 'disarm', 'remove', 'turn'),
    ms: fc.nat(600),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { wheel, clock, fired, timer } = makeWheel();
      const timers = Array.from({ length: 5 }, timer);
      const due = new Map<Timer, number>();
      for (const { timer: index, action, ms } of steps) {
        const one = timers[index]!;
        if (action === 'arm') {
          wheel.arm(one, ms);
          due.set(one, clock.now + ms);
        } else if (action === 'turn') {
          runTo(wheel, clock, clock.now + Math.ceil(ms / 10) * 10);
          wheel.advance();
        } else {
          wheel[action](one);
          due.delete(one);
        }
        for (const [each, at] of fired) {
          assert.ok(due.has(each), 'only what is armed fires');
          assert.ok(at >= due.get(each)!, 'not early');
          due.delete(each);
        }
        fired.clear();
        for (const at of due.values()) assert.ok(clock.now < at + 30, 'not late');
      }
    }),
    { numRuns: 300 },
  );
});
