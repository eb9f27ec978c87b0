import { lookup } from 'node:dns/promises';
import { isIP, isIPv4 } from 'node:net';
import type { DnsSettings } from '../settings.ts';
import type { DnsRecord } from './message.ts';
import { PowerdnsProvider } from './powerdns.ts';
import { DnsError, type DnsProvider } from './provider.ts';
import { Rfc2136Provider } from './rfc2136.ts';

const timeoutMs = 10_000;
const defaultTtlSeconds = 300;

/** The provider that the settings name; `baseDomain` is the zone unless they name another. */
export function makeDnsProvider(settings: DnsSettings, baseDomain: string): DnsProvider {
  switch (settings.provider) {
    case 'localhost':
      return localhostProvider;
    case 'manual':
      return manualProvider;
    case 'rfc2136': {
      const { keyName, keySecret } = settings;
      return new Rfc2136Provider({
        host: settings.host,
        port: settings.port ?? 53,
        zone: settings.zone ?? baseDomain,
        key:
          keyName === undefined || keySecret === undefined
            ? null
            : {
                name: keyName,
                algorithm: settings.keyAlgorithm ?? 'hmac-sha256',
                secret: Buffer.from(keySecret, 'base64'),
              },
        ttlSeconds: settings.ttlSeconds ?? defaultTtlSeconds,
        timeoutMs,
        now: Date.now,
      });
    }
    case 'powerdns':
      return new PowerdnsProvider({
        apiUrl: settings.apiUrl.replace(/\/+$/, ''),
        apiKey: settings.apiKey,
        server: settings.server ?? 'localhost',
        zone: settings.zone ?? baseDomain,
        ttlSeconds: settings.ttlSeconds ?? defaultTtlSeconds,
        timeoutMs,
      });
  }
}

/** The records that lead to the gateways: addresses, or one alias. */
export function recordsFor(targets: readonly string[]): DnsRecord[] {
  return targets.map((value) => ({
    type: isIP(value) === 0 ? 'CNAME' : isIPv4(value) ? 'A' : 'AAAA',
    value,
  }));
}

/** Names below localhost lead to this machine by themselves. */
const localhostProvider: DnsProvider = {
  kind: 'localhost',
  point: async () => {},
  unpoint: async () => {},
  addText: async () => {},
  removeText: async () => {},
};

/** Somebody else keeps the zone: a name counts as pointed once it resolves. */
const manualProvider: DnsProvider = {
  kind: 'manual',
  async point(name, records) {
    const wanted = records.map(({ value }) => value).join(', ');
    await lookup(name).catch((error: unknown) => {
      throw new DnsError(`${name} does not resolve yet; make records for ${wanted}`, true, error);
    });
  },
  unpoint: async () => {},
  async addText(name, value) {
    throw new DnsError(`the zone is kept by hand: no TXT record ${name} with ${value} can be made`, false);
  },
  removeText: async () => {},
};
