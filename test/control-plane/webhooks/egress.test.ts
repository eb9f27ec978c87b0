import assert from 'node:assert/strict';
import { test } from 'node:test';
import { request } from 'undici';
import { createAddressCheck } from '../../../control-plane/webhooks/addresses.ts';
import { createEgressAgent } from '../../../control-plane/webhooks/egress.ts';
import { startHookReceiver } from './hook-receiver.ts';

test('private, local and special addresses may not be connected to, in any notation', () => {
  const mayConnect = createAddressCheck([]);
  for (const address of [
    ...['10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.0.1', '127.0.0.1', '127.1.2.3', '0.0.0.0'],
    ...['169.254.169.254', '100.64.0.1', '198.18.0.1', '224.0.0.1', '255.255.255.255', '192.0.2.1'],
    ...[
      '::1',
      '::',
      'fe80::1',
      'fc00::1',
      'fd12::1',
      'ff02::1',
      '::ffff:127.0.0.1',
      '::ffff:a00:1',
      '::10.0.0.1',
    ],
    ...['64:ff9b::a00:1', '2002:a00:1::', '2001:db8::1', 'not an address', ''],
  ]) {
    assert.equal(mayConnect(address), false, address);
  }
  for (const address of [
    '1.1.1.1',
    '8.8.8.8',
    '172.32.0.1',
    '192.169.0.1',
    '2606:4700::1111',
    '::ffff:8.8.8.8',
  ]) {
    assert.equal(mayConnect(address), true, address);
  }
  const allowing = createAddressCheck(['10.1.0.0/16', 'fd00::/8']);
  assert.deepEqual(['10.1.2.3', '::ffff:10.1.2.3', '10.2.0.1', 'fd12::1', 'fc00::1'].map(allowing), [
    ...[true, true, false, true, false],
  ]);
});

test('a name is judged by what it resolves to as it is connected to', async (t) => {
  const receiver = await startHookReceiver();
  t.after(() => receiver.stop());
  const { port } = new URL(receiver.url);
  const agent = createEgressAgent([], 2000, (_hostname, _options, callback) => {
    callback(null, [{ address: '127.0.0.1', family: 4 }]);
  });
  t.after(() => agent.destroy());
  await assert.rejects(
    request(`http://rebound.example:${port}/`, { dispatcher: agent }),
    /no address that may be/,
  );
  assert.equal(receiver.received.length, 0);
  const allowing = createEgressAgent(['127.0.0.1'], 2000, (_hostname, _options, callback) => {
    callback(null, [
      { address: '10.0.0.1', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ]);
  });
  t.after(() => allowing.destroy());
  const response = await request(`http://allowed.example:${port}/`, { dispatcher: allowing });
  assert.equal(response.statusCode, 204);
});
