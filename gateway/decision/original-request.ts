import type { IncomingMessage } from 'node:http';
import type { RequestHead } from '../wire/request-head.ts';

/** Fields by which a proxy tells of the request that it asks about; they are not part of it. */
const aboutOriginal = new Set([
  ...['x-original-method', 'x-original-uri', 'x-original-url', 'x-original-host', 'x-original-proto'],
  ...['x-forwarded-method', 'x-forwarded-uri', 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-for'],
  ...['x-tollgate-refuse-with', 'connection', 'keep-alive', 'content-length', 'transfer-encoding'],
]);

/**
 * The request that a proxy asks about: method, URI, host and scheme from its X-Original-* (nginx) or X-Forwarded-*
 * fields (Caddy, Traefik), else its own (Envoy); the client is the address that the proxy has put last into
 * X-Forwarded-For. `bodyLength`: of the body that came along.
 */
export function readOriginal(request: IncomingMessage, bodyLength: number): RequestHead {
  const raw = request.rawHeaders;
  const headers: string[] = [];
  const about = new Map<string, string>();
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    const value = raw[i + 1]!;
    if (!aboutOriginal.has(name)) headers.push(name, value);
    else if (name === 'x-forwarded-for' && about.has(name)) about.set(name, `${about.get(name)}, ${value}`);
    else about.set(name, value);
  }
  const forwardedFor = (about.get('x-forwarded-for') ?? '').split(',').map((hop) => hop.trim());
  const client = forwardedFor.pop() || plainAddress(request.socket.remoteAddress ?? '127.0.0.1');
  if (forwardedFor.length > 0) headers.push('x-forwarded-for', forwardedFor.join(', '));
  const { host, target } = splitUri(
    about.get('x-original-uri') ??
      about.get('x-original-url') ??
      about.get('x-forwarded-uri') ??
      request.url!,
  );
  const stated =
    about.get('x-original-host') ?? about.get('x-forwarded-host') ?? host ?? request.headers.host;
  return {
    method: about.get('x-original-method') ?? about.get('x-forwarded-method') ?? request.method!,
    target,
    headers,
    host: (stated ?? '').toLowerCase(),
    secure: (about.get('x-original-proto') ?? about.get('x-forwarded-proto')) === 'https',
    remoteAddress: client,
    httpVersion: '1.1',
    bodyLength,
    upgrade: null,
    connectionFields: null,
  };
}

/** Some proxies send the whole address. */
function splitUri(uri: string): { host: string | null; target: string } {
  const match = /^https?:\/\/([^/?#]*)(.*)$/i.exec(uri);
  const target = match ? match[2]! : uri;
  return { host: match ? match[1]! : null, target: target.startsWith('/') ? target : `/${target}` };
}

function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address || '127.0.0.1';
}
