import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseDictionary, parseList } from '#contract/structured-fields.ts';
import {
  parseDirectives,
  parseRequestDirectives,
  parseResponseDirectives,
} from '../../../gateway/cache/cache-control.ts';
import { parseCacheStatus, serializeCacheStatus } from '../../../gateway/cache/cache-status.ts';
import { maxDeltaSeconds, parseAge, parseDeltaSeconds } from '../../../gateway/cache/delta-seconds.ts';
import { parseEntityTag, parseEntityTags } from '../../../gateway/cache/entity-tag.ts';
import { splitList } from '../../../gateway/cache/fields.ts';
import { currentAge, freshnessLifetime, initialAge } from '../../../gateway/cache/freshness.ts';
import { formatHttpDate, parseHttpDate } from '../../../gateway/cache/http-date.ts';
import { type QueryRule, resourceKey, selectQuery } from '../../../gateway/cache/key.ts';
import { requestedRanges } from '../../../gateway/cache/range.ts';
import { normalizePreferences, parseVary, selectingKey } from '../../../gateway/cache/vary.ts';

const anyText = fc.string({ unit: 'binary-ascii', maxLength: 60 });
const host = fc.stringMatching(/^[a-z0-9.-]{1,12}(?::\d{1,4})?$/);
const path = fc.stringMatching(/^(?:\/[A-Za-z0-9%._~!$&'()*+,;=:@-]{0,8}){1,4}$/);
const query = fc.stringMatching(/^(?:[a-d]=?[0-9a-d+]{0,3}&?){0,6}$/);
const rule: fc.Arbitrary<QueryRule> = fc.constantFrom<QueryRule>('all', 'sorted', 'none', ['a', 'c']);
const targetOf = (p: string, q: string): string => (q === '' ? p : `${p}?${q}`);

describe('the key', () => {
  test('two different targets of one host never share a key', () => {
    fc.assert(
      fc.property(host, path, query, host, path, query, (h1, p1, q1, h2, p2, q2) => {
        const one = resourceKey(h1, p1, q1, targetOf(p1, q1), 'all');
        const two = resourceKey(h2, p2, q2, targetOf(p2, q2), 'all');
        assert.equal(one === two, h1 === h2 && targetOf(p1, q1) === targetOf(p2, q2));
      }),
    );
  });

  test('whatever the rule, another host or path is another key', () => {
    fc.assert(
      fc.property(host, path, host, path, query, rule, (h1, p1, h2, p2, q, chosen) => {
        fc.pre(h1 !== h2 || p1 !== p2);
        assert.notEqual(
          resourceKey(h1, p1, q, targetOf(p1, q), chosen),
          resourceKey(h2, p2, q, targetOf(p2, q), chosen),
        );
      }),
    );
  });

  test('sorting is stable under any order of differently named parameters', () => {
    const parameters = fc.uniqueArray(
      fc.record({ name: fc.stringMatching(/^[a-z]{1,3}$/), value: fc.stringMatching(/^[0-9]{0,3}$/) }),
      { selector: ({ name }) => name, maxLength: 6 },
    );
    fc.assert(
      fc.property(
        parameters.chain((list) =>
          fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
        ),
        ([list, shuffled]) => {
          const text = (all: typeof list): string =>
            all.map(({ name, value }) => `${name}=${value}`).join('&');
          assert.equal(selectQuery(text(list), 'sorted'), selectQuery(text(shuffled), 'sorted'));
        },
      ),
    );
  });

  test('selecting is idempotent and keeps only what is named', () => {
    fc.assert(
      fc.property(query, (text) => {
        const once = selectQuery(text, ['a', 'c']);
        assert.equal(selectQuery(once, ['a', 'c']), once);
        for (const part of once.split('&')) assert.match(part, /^(?:[ac](?:=.*)?|)$/s);
      }),
    );
  });
});

describe('Vary', () => {
  const name = fc.constantFrom('foo', 'bar', 'baz');
  const value = fc.stringMatching(/^[\x20-\x7e]{0,10}$/);
  const requestOf = (headers: string[]) => ({
    headers,
    forwardedFor: '',
    forwardedHost: '',
    forwardedProto: '',
  });

  test('two requests match exactly when every selecting field is the same', () => {
    const fields = fc.dictionary(name, value, { maxKeys: 3 });
    fc.assert(
      fc.property(fc.subarray(['bar', 'baz', 'foo']), fields, fields, (names, one, two) => {
        const same = names.every((field) => one[field] === two[field]);
        const key = (from: Record<string, string>): string =>
          selectingKey(names, requestOf(Object.entries(from).flat()));
        assert.equal(key(one) === key(two), same);
      }),
    );
  });

  test('its names come out sorted, unique and in lower case, or as any', () => {
    fc.assert(
      fc.property(fc.array(anyText, { maxLength: 3 }), (lines) => {
        const parsed = parseVary(lines.flatMap((line) => ['vary', line]));
        if (parsed === '*') return;
        assert.deepEqual(parsed, [...new Set(parsed)].sort());
        for (const field of parsed) assert.equal(field, field.toLowerCase());
      }),
    );
  });

  test('normalizing is idempotent and blind to white space', () => {
    const member = fc.tuple(
      fc.constantFrom('gzip', 'br', 'en', 'de-AT', '*'),
      fc.constantFrom('', ';q=1', ';q=0.5', ';q=0'),
    );
    fc.assert(
      fc.property(fc.array(member, { maxLength: 5 }), fc.boolean(), (members, orderless) => {
        const tight = members.map((parts) => parts.join('')).join(',');
        const loose = members.map((parts) => parts.join(' ')).join(' ,\t');
        const normal = normalizePreferences(tight, orderless);
        assert.equal(normalizePreferences(loose, orderless), normal);
        assert.equal(normalizePreferences(normal, orderless), normal);
      }),
    );
  });
});

describe('freshness arithmetic', () => {
  const second = fc.integer({ min: 0, max: 4_000_000_000 });
  const now = Date.UTC(2026, 0, 15, 12);
  const headersOf = (age: number | null, dateMs: number | null): string[] => [
    ...(age === null ? [] : ['age', String(age)]),
    ...(dateMs === null ? [] : ['date', formatHttpDate(dateMs)]),
  ];

  test('an age is never negative, never less than Age, and grows with the clock', () => {
    fc.assert(
      fc.property(
        fc.option(second),
        fc.option(fc.integer({ min: -1e6, max: 1e6 })),
        fc.nat(1e6),
        fc.nat(1e6),
        fc.nat(1e6),
        (age, skew, delay, first, more) => {
          const initialAgeMs = initialAge(
            headersOf(age, skew === null ? null : now + skew * 1000),
            now - delay,
            now,
          );
          assert.ok(initialAgeMs >= Math.min(age ?? 0, maxDeltaSeconds) * 1000 + delay);
          const stored = { responseTimeMs: now, initialAgeMs, lifetimeMs: 0 };
          const early = currentAge(stored, now + first);
          assert.ok(early >= initialAgeMs);
          assert.equal(currentAge(stored, now + first + more) - early, more);
          assert.equal(
            currentAge(stored, now - first),
            initialAgeMs,
            'a clock set back makes nothing younger',
          );
        },
      ),
    );
  });

  test('s-maxage wins over max-age, max-age over Expires, and no lifetime is negative', () => {
    fc.assert(
      fc.property(
        fc.option(second),
        fc.option(second),
        fc.option(fc.integer({ min: -1e6, max: 1e6 })),
        (sMaxage, maxAge, expires) => {
          const members = [
            ...(maxAge === null ? [] : [`max-age=${maxAge}`]),
            ...(sMaxage === null ? [] : [`s-maxage=${sMaxage}`]),
          ];
          const headers = [
            'cache-control',
            members.join(),
            'date',
            formatHttpDate(now),
            ...(expires === null ? [] : ['expires', formatHttpDate(now + expires * 1000)]),
          ];
          const { lifetimeMs } = freshnessLifetime(
            200,
            headers,
            parseResponseDirectives(headers),
            false,
            now,
            null,
          );
          const wanted = sMaxage ?? maxAge;
          assert.equal(
            lifetimeMs,
            wanted === null ? Math.max(0, expires ?? 0) * 1000 : Math.min(wanted, maxDeltaSeconds) * 1000,
          );
        },
      ),
    );
  });

  test('dates survive being written and read', () => {
    fc.assert(
      fc.property(fc.integer({ min: -62e9, max: 250e9 }), (seconds) => {
        fc.pre(
          new Date(seconds * 1000).getUTCFullYear() >= 1 && new Date(seconds * 1000).getUTCFullYear() <= 9999,
        );
        assert.equal(parseHttpDate(formatHttpDate(seconds * 1000), now), seconds * 1000);
      }),
    );
  });
});

describe('parsers', () => {
  test('delta-seconds are digits and nothing else', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const value = parseDeltaSeconds(text);
        if (/^\d+$/.test(text))
          assert.equal(value, Number(BigInt(text) > 2_147_483_648n ? 2_147_483_648n : BigInt(text)));
        else assert.equal(value, null);
        assert.ok(parseAge(text) >= 0);
      }),
    );
  });

  test('no field value makes a parser throw', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        splitList(text);
        parseDirectives(text);
        parseResponseDirectives(['cache-control', text]);
        parseRequestDirectives(['cache-control', text, 'pragma', text]);
        parseDictionary(text);
        parseList(text);
        parseEntityTag(text);
        parseEntityTags(text);
        parseHttpDate(text, 0);
        requestedRanges(['range', `bytes=${text}`], 100);
        parseCacheStatus(['cache-status', text]);
      }),
      { numRuns: 2000 },
    );
  });

  test('no-store is never overlooked, whatever surrounds it', () => {
    const harmless = fc.constantFrom('max-age=1', 'public', 'x="a,b"', 'y="\\""', '', 'z', 's-maxage=5');
    fc.assert(
      fc.property(
        fc.array(harmless),
        fc.array(harmless),
        fc.constantFrom(',', ' , ', '\t,'),
        (before, behind, comma) => {
          assert.equal(
            parseResponseDirectives(['cache-control', [...before, 'No-Store', ...behind].join(comma)])
              .noStore,
            true,
          );
        },
      ),
    );
  });

  test('ranges lie inside the body, in order and apart', () => {
    const spec = fc.oneof(
      fc.tuple(fc.nat(120), fc.nat(120)).map(([a, b]) => `${a}-${b}`),
      fc.nat(120).map((a) => `${a}-`),
      fc.nat(120).map((a) => `-${a}`),
    );
    fc.assert(
      fc.property(fc.array(spec, { minLength: 1, maxLength: 20 }), fc.nat(100), (specs, length) => {
        const ranges = requestedRanges(['range', `bytes=${specs.join(', ')}`], length);
        let end = -1;
        for (const { first, last } of ranges ?? []) {
          assert.ok(first > end && first <= last && last < length);
          end = last;
        }
      }),
    );
  });

  test('entity tags in a list are found whatever they hold', () => {
    const opaque = fc.stringMatching(/^[\x21\x23-\x7e]{0,8}$/);
    const tag = fc.record({ weak: fc.boolean(), opaque });
    fc.assert(
      fc.property(
        fc.array(tag, { minLength: 1, maxLength: 5 }),
        fc.constantFrom(',', ', ', ' ,\t'),
        (tags, comma) => {
          const text = tags.map((one) => `${one.weak ? 'W/' : ''}"${one.opaque}"`).join(comma);
          assert.deepEqual(
            parseEntityTags(text),
            tags.map((one) => ({ ...one })),
          );
        },
      ),
    );
  });

  test('Cache-Status survives being written and read', () => {
    const status = fc.record(
      {
        cache: fc.oneof(fc.stringMatching(/^[a-z][a-z0-9.-]{0,9}$/), fc.stringMatching(/^[ -~]{1,10}$/)),
        hit: fc.constant(true),
        fwd: fc.constantFrom('bypass', 'uri-miss', 'vary-miss', 'stale', 'request'),
        fwdStatus: fc.integer({ min: 200, max: 599 }),
        ttl: fc.integer({ min: -1e9, max: 1e9 }),
        stored: fc.constant(true),
        collapsed: fc.constant(true),
        key: fc.stringMatching(/^[ -~]{0,10}$/),
        detail: fc.stringMatching(/^[ -~]{0,10}$/),
      },
      { requiredKeys: ['cache'] },
    );
    fc.assert(
      fc.property(fc.array(status, { minLength: 1, maxLength: 3 }), (statuses) => {
        const headers = statuses.flatMap((one) => ['cache-status', serializeCacheStatus(one)]);
        assert.deepEqual(
          parseCacheStatus(headers),
          statuses.map((one) => ({ ...one })),
        );
      }),
    );
  });
});
