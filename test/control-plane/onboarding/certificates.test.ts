import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { AcmeIssuer, makeAccountKey } from '../../../control-plane/onboarding/certificates/acme.ts';
import { IssueError } from '../../../control-plane/onboarding/certificates/issuer.ts';
import {
  issueFromAuthority,
  makeAuthority,
} from '../../../control-plane/onboarding/certificates/local-authority.ts';
import { Rfc2136Provider } from '../../../control-plane/onboarding/dns/rfc2136.ts';
import { startBind } from '../../support/bind.ts';
import { startPebble } from '../../support/pebble.ts';

test('a leaf of the local authority verifies against its root, for its names only', async () => {
  const now = Date.UTC(2026, 10, 1);
  const authority = await makeAuthority('Tollgate local authority', now);
  const leaf = await issueFromAuthority(authority, ['*.tenants.localhost', 'tenants.localhost'], 90, now);
  const [root, certificate] = [
    new X509Certificate(authority.certificate),
    new X509Certificate(leaf.certificate),
  ];
  assert.ok(root.ca && !certificate.ca);
  assert.ok(certificate.checkIssued(root) && certificate.verify(root.publicKey));
  assert.ok(certificate.checkHost('clinique-du-lac.tenants.localhost'));
  assert.equal(certificate.checkHost('a.b.tenants.localhost'), undefined);
  assert.equal(Date.parse(certificate.validTo), now + 90 * 86_400_000);
});

test('Pebble issues a wildcard by DNS-01 through BIND, and the challenges are removed', async (t) => {
  const zone = 'akasigroup.test';
  const bind = await startBind({
    [zone]: '',
    'clinic.example': `_acme-challenge.portal IN CNAME portal.clinic.example._challenges.${zone}.`,
  });
  t.after(() => bind.stop());
  const pebble = await startPebble(bind.port);
  t.after(() => pebble.stop());
  const dns = new Rfc2136Provider({
    host: '127.0.0.1',
    port: bind.port,
    zone,
    key: { name: bind.keyName, algorithm: 'hmac-sha256', secret: bind.keySecret },
    ttlSeconds: 60,
    timeoutMs: 5000,
    now: Date.now,
  });
  const options = {
    directoryUrl: pebble.directoryUrl,
    email: 'ops@example.com',
    caFile: pebble.caFile,
    accountKey: await makeAccountKey(),
    dns,
    challengeName: (domain: string) =>
      domain === zone ? `_acme-challenge.${zone}` : `${domain}._challenges.${zone}`,
    settle: async () => {},
  };
  const issuer = new AcmeIssuer(options);
  const issued = await issuer.issue([`*.${zone}`, zone]);
  const chain = issued.certificate.split(/(?<=-----END CERTIFICATE-----)\s*/).filter((pem) => pem !== '');
  const leaf = new X509Certificate(chain[0]!);
  assert.ok(leaf.checkHost(`clinique-du-lac.${zone}`) && leaf.checkHost(zone));
  assert.ok(new X509Certificate(chain[1]!).checkIssued(new X509Certificate(pebble.issuingRoot)));
  assert.deepEqual(await bind.dig(`_acme-challenge.${zone}`, 'TXT'), []);

  const custom = new X509Certificate((await issuer.issue(['portal.clinic.example'])).certificate);
  assert.ok(
    custom.checkHost('portal.clinic.example'),
    'a delegated challenge serves a domain of another zone',
  );

  const undelegated = new AcmeIssuer({ ...options, challengeName: () => `nowhere.${zone}` });
  await assert.rejects(undelegated.issue(['other.clinic.example']), IssueError);
});
