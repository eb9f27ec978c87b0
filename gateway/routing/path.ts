/**
 * The path that routes are matched on: percent-encoded unreserved characters decoded (RFC 3986 section 6.2.2.2) and
 * dot segments removed (section 5.2.4), so that no spelling of a path escapes a route's rules. An encoded slash
 * stays data. Paths that hold neither "%" nor "/." come back as they are.
 */
export function normalizePath(path: string): string {
  const decoded = path.includes('%') ? decodeUnreserved(path) : path;
  return decoded.includes('/.') ? removeDotSegments(decoded) : decoded;
}

/** Whether a path has dot segments, plain or encoded; such a path is forwarded in its normalized form. */
export function hasDotSegments(path: string): boolean {
  const decoded = path.includes('%') ? decodeUnreserved(path) : path;
  return decoded.includes('/.') && /\/\.\.?(?:\/|$)/.test(decoded);
}

function decodeUnreserved(path: string): string {
  return path.replace(/%[0-9A-Fa-f]{2}/g, (triplet) => {
    const code = Number.parseInt(triplet.slice(1), 16);
    const unreserved =
      (code >= 0x61 && code <= 0x7a) ||
      (code >= 0x41 && code <= 0x5a) ||
      (code >= 0x30 && code <= 0x39) ||
      code === 0x2d ||
      code === 0x2e ||
      code === 0x5f ||
      code === 0x7e;
    return unreserved ? String.fromCharCode(code) : triplet.toUpperCase();
  });
}

function removeDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/');
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i]!;
    const last = i === segments.length - 1;
    if (segment === '.') {
      if (last) kept.push('');
    } else if (segment === '..') {
      kept.pop();
      if (last) kept.push('');
    } else kept.push(segment);
  }
  return `/${kept.join('/')}`;
}
