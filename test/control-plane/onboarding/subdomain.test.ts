import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  deriveSubdomain,
  isForbidden,
  maxSubdomainLength,
  proposeSubdomains,
} from '../../../control-plane/onboarding/subdomain.ts';

test('names fold to the subdomain people expect', () => {
  for (const [name, expected] of [
    ['Clinique du Lac', 'clinique-du-lac'],
    ['  Hôpital Général — Saint-Étienne  ', 'hopital-general-saint-etienne'],
    ['Œuvre de l’Abbé Łukasz Straße', 'oeuvre-de-l-abbe-lukasz-strasse'],
    ['Müller & Fils', 'muller-et-fils'],
    ['ＦＵＬＬ ｗｉｄｔｈ', 'full-width'],
    ['xn--clinique', 'xn-clinique'],
    ['A'.repeat(63), 'a'.repeat(40)],
    ['Centre Hospitalier Universitaire de Saint-Pierre', 'centre-hospitalier-universitaire-de'],
  ]) {
    assert.equal(deriveSubdomain(name!), expected);
  }
});

test('a name that gives no decent subdomain gives none', () => {
  for (const name of [
    '',
    '!!!',
    'ab',
    '12345',
    'admin',
    'WWW',
    '医院',
    'раураl',
    'Ab 中文字符',
    'Fuck you',
    'sh1t',
    'n4zi',
  ]) {
    assert.equal(deriveSubdomain(name), null, name);
  }
  assert.equal(deriveSubdomain('Scunthorpe Clinic'), 'scunthorpe-clinic');
});

test('every proposal for any name is a valid label that is not forbidden', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 80 }), (name) => {
      const proposals = proposeSubdomains(deriveSubdomain(name), randomBytes);
      const seen = new Set<string>();
      for (let i = 0; i < 8; i++) {
        const label = proposals.next().value;
        assert.match(label, /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/);
        assert.ok(label.length >= 3 && label.length <= maxSubdomainLength, label);
        assert.ok(!label.startsWith('xn--') && !isForbidden(label));
        seen.add(label);
      }
      assert.equal(seen.size, 8);
    }),
  );
});
