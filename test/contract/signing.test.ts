import assert from 'node:assert/strict';
import { constants, createHmac, createPublicKey, hash, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import {
  formatContentDigest,
  type MessageSignature,
  missingComponent,
  parseContentDigest,
  parseSignatures,
  prepareSignature,
  type SignableMessage,
  signatureBase,
} from '#contract/signing.ts';

interface Vectors {
  keys: Record<string, { public_pem?: string; private_pem?: string; secret_base64?: string }>;
  request: { method: string; target: string; headers: [string, string][]; body: string };
  response: { status: number; headers: [string, string][]; body: string };
  vectors: {
    name: string;
    algorithm: string;
    message: 'request' | 'response';
    label: string;
    signature_input: string;
    signature: string;
    signature_base: string;
  }[];
}
const { keys, request, response, vectors } = JSON.parse(
  readFileSync(new URL('../vectors/rfc9421.json', import.meta.url), 'utf8'),
) as Vectors;

function lines(headers: [string, string][], name: string): string | null {
  const found = headers.filter(([field]) => field.toLowerCase() === name).map(([, value]) => value.trim());
  return found.length > 0 ? found.join(', ') : null;
}

function message(parts: Partial<SignableMessage> & { headers?: [string, string][] } = {}): SignableMessage {
  const [path, query] = request.target.split('?');
  const headers = parts.headers ?? request.headers;
  return {
    method: request.method,
    scheme: 'https',
    authority: lines(headers, 'host') ?? 'example.com',
    path: path!,
    query: query ?? null,
    status: null,
    field: (name) => lines(headers, name),
    ...parts,
  };
}

function isValid(algorithm: string, keyId: string, base: string, signature: Uint8Array): boolean {
  const data = Buffer.from(base);
  const { public_pem: pem, secret_base64: secret } = keys[keyId]!;
  if (algorithm === 'hmac-sha256') {
    return createHmac('sha256', Buffer.from(secret!, 'base64')).update(data).digest().equals(signature);
  }
  const key = createPublicKey(pem!);
  if (algorithm === 'ed25519') return verify(null, data, key, signature);
  if (algorithm === 'ecdsa-p256-sha256') {
    return verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signature);
  }
  return verify('sha512', data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 }, signature);
}

describe('RFC 9421 appendix B.2', () => {
  assert.equal(vectors.length, 6);
  for (const vector of vectors) {
    test(`${vector.name}: the base is that of the RFC, and its signature verifies`, () => {
      const parsed = parseSignatures(vector.signature_input, vector.signature);
      assert.equal(parsed?.length, 1);
      const signature = parsed![0]!;
      assert.equal(signature.label, vector.label);
      const signed =
        vector.message === 'request'
          ? message()
          : message({ status: response.status, headers: response.headers });
      const base = signatureBase(signed, signature.input);
      assert.equal(base, vector.signature_base);
      assert.ok(isValid(vector.algorithm, signature.keyId!, base!, signature.signature));
      assert.ok(!isValid(vector.algorithm, signature.keyId!, `${base} `, signature.signature));
    });
  }
});

function only(input: string): MessageSignature {
  const parsed = parseSignatures(`s=${input}`, 's=:AA==:');
  assert.equal(parsed?.length, 1, input);
  return parsed![0]!;
}

describe('derived components (section 2.2)', () => {
  const cases: [string, Partial<SignableMessage>, string | null][] = [
    ['"@method"', {}, 'POST'],
    ['"@scheme"', {}, 'https'],
    ['"@authority"', { authority: 'Example.COM:443' }, 'example.com'],
    ['"@authority"', { authority: 'example.com:443', scheme: 'http' }, 'example.com:443'],
    ['"@authority"', { authority: 'example.com:80', scheme: 'http' }, 'example.com'],
    ['"@authority"', { authority: 'example.com:8443' }, 'example.com:8443'],
    ['"@path"', { path: '' }, '/'],
    ['"@path"', { path: '/a%20b' }, '/a%20b'],
    ['"@query"', { query: null }, '?'],
    ['"@query"', { query: 'a=%2F&b' }, '?a=%2F&b'],
    ['"@request-target"', {}, '/foo?param=Value&Pet=dog'],
    ['"@request-target"', { query: null }, '/foo'],
    ['"@target-uri"', {}, 'https://example.com/foo?param=Value&Pet=dog'],
    [
      '"@query-param";name="var"',
      { query: 'var=this%20is%20a%20big%0Amultiline' },
      'this%20is%20a%20big%0Amultiline',
    ],
    ['"@query-param";name="fa%C3%A7ade%22%3A%20"', { query: 'fa%C3%A7ade%22%3A%20=something' }, 'something'],
    ['"@query-param";name="q"', { query: 'q=a+b' }, 'a%20b'],
    ['"@query-param";name="q"', { query: 'q=1&q=2' }, null],
    ['"@query-param";name="absent"', {}, null],
    ['"@query-param"', {}, null],
    ['"@status"', {}, null],
    ['"@unknown"', {}, null],
    ['"x-absent"', {}, null],
    ['"Date"', {}, null],
    ['"content-type";sf', {}, null],
    ['"@method";req', {}, null],
  ];
  for (const [component, parts, expected] of cases) {
    test(`${component} of ${JSON.stringify(parts)} is ${expected}`, () => {
      const base = signatureBase(message(parts), only(`(${component})`).input);
      assert.equal(base?.split('\n')[0] ?? null, expected === null ? null : `${component}: ${expected}`);
    });
  }

  test('a field of several lines is joined', () => {
    const headers: [string, string][] = [
      ['X-A', '1 '],
      ['x-a', ' 2'],
    ];
    assert.match(signatureBase(message({ headers }), only('("x-a")').input)!, /^"x-a": 1, 2\n/);
  });

  test('a component stands once', () => {
    assert.equal(signatureBase(message(), only('("@path" "@path")').input), null);
    assert.notEqual(
      signatureBase(message(), only('("@query-param";name="Pet" "@query-param";name="param")').input),
      null,
    );
  });
});

describe('what has to be covered', () => {
  const missing = (input: string, hasBody = false): string | null =>
    missingComponent(only(input).input, hasBody);

  test('method, authority, path, query and, with a body, its digest', () => {
    const all = '"@query" "@path" "@method" "@authority"';
    assert.equal(missing(`(${all})`), null);
    assert.equal(missing(`(${all})`, true), 'content-digest');
    assert.equal(missing(`(${all} "content-digest")`, true), null);
    for (const name of ['@method', '@authority', '@path', '@query']) {
      assert.equal(missing(`(${all.replace(`"${name}"`, '')})`), name);
    }
  });

  test('the target URI covers authority, path and query', () => {
    assert.equal(missing('("@method" "@target-uri")'), null);
    assert.equal(missing('("@target-uri")'), '@method');
  });

  test('a component with parameters does not count', () => {
    assert.equal(missing('("@method" "@target-uri";req)'), '@authority');
  });
});

describe('reading signatures', () => {
  test('takes their parameters', () => {
    const { keyId, algorithm, created, expires, nonce, tag } = only(
      '();created=1;expires=2;keyid="k";alg="ed25519";nonce="n";tag="t"',
    );
    assert.deepEqual([keyId, algorithm, created, expires, nonce, tag], ['k', 'ed25519', 1, 2, 'n', 't']);
  });

  test('refuses what does not fit together', () => {
    for (const [input, signature] of [
      ['s=()', ''],
      ['s=()', 't=:AA==:'],
      ['s=()', 's="AA=="'],
      ['s=()', 's=(:AA==:)'],
      ['s=1', 's=:AA==:'],
      ['s=();created="1"', 's=:AA==:'],
      ['s=();created=1.5', 's=:AA==:'],
      ['s=();keyid=token', 's=:AA==:'],
      ['s=();nonce', 's=:AA==:'],
      ['s=(', 's=:AA==:'],
      ['s=()', 's=:A'],
    ]) {
      assert.equal(parseSignatures(input!, signature!), null, `${input} / ${signature}`);
    }
  });
});

describe('making signatures', () => {
  test('covers the digest when there is one; what was prepared reads back as the same base', () => {
    const parameters = { keyId: 'ak_test_1', algorithm: 'hmac-sha256', created: 1, nonce: 'n"\\' } as const;
    for (const signed of [message(), message({ field: () => null })]) {
      const { base, input } = prepareSignature(signed, parameters);
      const read = only(input);
      assert.equal(missingComponent(read.input, signed.field('content-digest') !== null), null);
      assert.equal(signatureBase(signed, read.input), base);
      assert.equal(read.nonce, parameters.nonce);
    }
  });
});

describe('content digests (RFC 9530)', () => {
  const body = '{"hello": "world"}';

  test('the example of RFC 9530 is written and read', () => {
    const digest = hash('sha256', body, 'buffer');
    const field = formatContentDigest(digest);
    assert.equal(field, 'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:');
    assert.deepEqual(Buffer.from(parseContentDigest(field)!.sha256!), digest);
  });

  test('insecure algorithms alone are not enough', () => {
    assert.equal(parseContentDigest('md5=:AAAA:'), null);
    assert.equal(parseContentDigest('sha-256="text"'), null);
    assert.equal(parseContentDigest('sha-256'), null);
    const both = parseContentDigest('unixsum=:AAAA:, sha-512=:AAAA:');
    assert.equal(both?.sha256, null);
    assert.equal(both?.sha512?.length, 3);
  });
});
