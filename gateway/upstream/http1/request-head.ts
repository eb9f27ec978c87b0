import { fieldLine, isFraming } from '../../wire/http1/head-text.ts';
import type { UpstreamRequest } from '../client.ts';

/** The head of a request as it is sent, with framing (RFC 9112 section 6); null when its target is not fit to be sent. */
export function requestHead({ method, path, headers, bodyLength, upgrade }: UpstreamRequest): string | null {
  if (/[^\x21-\x7e]/.test(path)) return null;
  let head = `${method} ${path} HTTP/1.1\r\n`;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (!isFraming(name)) head += fieldLine(name, headers[i + 1]!);
  }
  if (upgrade !== null) head += fieldLine('upgrade', upgrade).concat('connection: upgrade\r\n');
  else if (bodyLength > 0) head += `content-length: ${bodyLength}\r\n`;
  else if (bodyLength < 0) head += 'transfer-encoding: chunked\r\n';
  else if (method === 'POST' || method === 'PUT' || method === 'PATCH') head += 'content-length: 0\r\n';
  return `${head}\r\n`;
}
