import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasDotSegments, normalizePath } from '../../../gateway/routing/path.ts';

test('every spelling of a path is matched as the same path', () => {
  for (const spelling of [
    '/v1/payments',
    '/v1/%70ayments',
    '/x/../v1/payments',
    '/v1/./payments',
    '/%76%31/payments',
    '/v1/%2e/payments',
    '/a/%2E%2e/v1/payments',
    '/../v1/payments',
  ]) {
    assert.equal(normalizePath(spelling), '/v1/payments', spelling);
  }
});

test('an encoded slash stays data, and reserved characters stay encoded', () => {
  assert.equal(normalizePath('/a%2fb'), '/a%2Fb');
  assert.equal(normalizePath('/a%3Fb%23c'), '/a%3Fb%23c');
  assert.equal(normalizePath('/v1%2f..%2fadmin'), '/v1%2F..%2Fadmin');
});

test('final dot segments leave the folder they name', () => {
  assert.equal(normalizePath('/a/b/..'), '/a/');
  assert.equal(normalizePath('/a/b/.'), '/a/b/');
  assert.equal(normalizePath('/..'), '/');
});

test('names that begin with dots are not dot segments', () => {
  for (const path of ['/.well-known/x', '/a/...', '/a/..b', '/.a']) {
    assert.equal(normalizePath(path), path);
    assert.equal(hasDotSegments(path), false, path);
  }
});

test('a normalized path has no dot segments and is its own normal form', () => {
  const piece = fc.constantFrom('a', '.', '..', '%2e', '%2E%2e', '%2f', '%41', '', 'v1', '...', '%zz', '%25');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const normal = normalizePath(`/${pieces.join('/')}`);
      assert.ok(normal.startsWith('/'));
      assert.ok(!hasDotSegments(normal), normal);
      assert.equal(normalizePath(normal), normal);
    }),
  );
});
