import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PowerdnsProvider } from '../../../control-plane/onboarding/dns/powerdns.ts';
import { DnsError, type DnsProvider } from '../../../control-plane/onboarding/dns/provider.ts';
import { Rfc2136Provider } from '../../../control-plane/onboarding/dns/rfc2136.ts';
import { startBind, type TestBind } from '../../support/bind.ts';
import { startPowerdns, type TestPowerdns } from '../../support/powerdns.ts';
import { findFreePort } from '../../support/processes.ts';

const zone = 'akasigroup.test';
const name = `clinique-du-lac.${zone}`;

function connectBind(bind: TestBind, change: Partial<ConstructorParameters<typeof Rfc2136Provider>[0]> = {}) {
  return new Rfc2136Provider({
    host: '127.0.0.1',
    port: bind.port,
    zone,
    key: { name: bind.keyName, algorithm: 'hmac-sha256', secret: bind.keySecret },
    ttlSeconds: 60,
    timeoutMs: 5000,
    now: Date.now,
    ...change,
  });
}

interface Server {
  dig(name: string, type: string): Promise<string[]>;
}

/** What every provider promises. */
function conforms(setUp: () => { provider: DnsProvider; server: Server }): void {
  test('a name points where it was pointed, and repeating it changes nothing', async () => {
    const { provider, server } = setUp();
    for (let i = 0; i < 2; i++) {
      await provider.point(name, [
        { type: 'A', value: '192.0.2.1' },
        { type: 'A', value: '192.0.2.2' },
        { type: 'AAAA', value: '2001:db8::7' },
      ]);
    }
    assert.deepEqual(await server.dig(name, 'A'), ['192.0.2.1', '192.0.2.2']);
    assert.deepEqual(await server.dig(name, 'AAAA'), ['2001:db8::7']);
    assert.deepEqual(await server.dig(`other.${zone}`, 'A'), []);
  });

  test('pointing again replaces what was there, also by an alias', async () => {
    const { provider, server } = setUp();
    await provider.point(name, [{ type: 'A', value: '192.0.2.9' }]);
    assert.deepEqual(await server.dig(name, 'A'), ['192.0.2.9']);
    assert.deepEqual(await server.dig(name, 'AAAA'), []);
    await provider.point(name, [{ type: 'CNAME', value: 'edge.example.net' }]);
    assert.deepEqual(await server.dig(name, 'CNAME'), ['edge.example.net.']);
    await provider.unpoint(name);
    await provider.unpoint(name);
    assert.deepEqual(await server.dig(name, 'CNAME'), []);
  });

  test('texts of one name stand beside each other and go one by one', async () => {
    const { provider, server } = setUp();
    const at = `_acme-challenge.${zone}`;
    await Promise.all([
      provider.addText(at, 'one'),
      provider.addText(at, 'two'),
      provider.addText(at, 'one'),
    ]);
    assert.deepEqual(await server.dig(at, 'TXT'), ['"one"', '"two"']);
    await provider.removeText(at, 'one');
    await provider.removeText(at, 'one');
    assert.deepEqual(await server.dig(at, 'TXT'), ['"two"']);
    await provider.removeText(at, 'two');
    assert.deepEqual(await server.dig(at, 'TXT'), []);
  });
}

describe('RFC 2136 with BIND', () => {
  let bind: TestBind;
  before(async () => {
    bind = await startBind({ [zone]: '' });
  });
  after(() => bind.stop());
  conforms(() => ({ provider: connectBind(bind), server: bind }));

  const refusal = (pattern: RegExp, retryable: boolean) => (error: unknown) => {
    assert.ok(error instanceof DnsError);
    assert.match(error.message, pattern);
    assert.equal(error.retryable, retryable);
    return true;
  };

  test('a wrong secret, an unknown key and a wrong clock are told apart', async () => {
    const key = { name: bind.keyName, algorithm: 'hmac-sha256', secret: Buffer.alloc(32) } as const;
    await assert.rejects(connectBind(bind, { key }).unpoint(name), refusal(/BADSIG/, false));
    const unknown = { ...key, name: 'nobody' };
    await assert.rejects(connectBind(bind, { key: unknown }).unpoint(name), refusal(/BADKEY/, false));
    const now = () => Date.now() - 3_600_000;
    await assert.rejects(connectBind(bind, { now }).unpoint(name), refusal(/BADTIME/, false));
  });

  test('an unsigned update and one to a foreign zone are refused for good', async () => {
    await assert.rejects(connectBind(bind, { key: null }).unpoint(name), refusal(/REFUSED/, false));
    await assert.rejects(connectBind(bind, { zone: 'other.test' }).unpoint(name), refusal(/NOTAUTH/, false));
  });

  test('a server that is not there can be tried again', async () => {
    const port = await findFreePort();
    await assert.rejects(connectBind(bind, { port }).unpoint(name), refusal(/ECONNREFUSED/, true));
  });
});

describe('PowerDNS', () => {
  let powerdns: TestPowerdns;
  const connect = (apiKey = powerdns.apiKey) =>
    new PowerdnsProvider({
      apiUrl: powerdns.apiUrl,
      apiKey,
      server: 'localhost',
      zone,
      ttlSeconds: 60,
      timeoutMs: 5000,
    });
  before(async () => {
    powerdns = await startPowerdns(zone);
  });
  after(() => powerdns.stop());
  conforms(() => ({ provider: connect(), server: powerdns }));

  test('a wrong API key is refused for good', async () => {
    await assert.rejects(connect('wrong').unpoint(name), (error: unknown) => {
      assert.ok(error instanceof DnsError);
      assert.match(error.message, /401/);
      assert.equal(error.retryable, false);
      return true;
    });
  });
});
