import { fieldLine, isDate, isFraming, statusLine } from './head-text.ts';

/**
 * A response head: `headers` less framing fields, then Date unless it is among them, and the framing given.
 * `contentLength` is left out when negative.
 */
export function responseHead(
  status: number,
  headers: readonly string[],
  dateLine: string,
  connection: 'close' | 'keep-alive' | null,
  contentLength: number,
  chunked: boolean,
): string {
  let head = statusLine(status);
  let dated = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (isFraming(name)) continue;
    if (isDate(name)) dated = true;
    head += fieldLine(name, headers[i + 1]!);
  }
  if (!dated) head += dateLine;
  if (contentLength >= 0) head += `Content-Length: ${contentLength}\r\n`;
  else if (chunked) head += 'Transfer-Encoding: chunked\r\n';
  if (connection !== null)
    head += connection === 'close' ? 'Connection: close\r\n' : 'Connection: keep-alive\r\n';
  return `${head}\r\n`;
}

/** The head of an interim response. */
export function interimHead(status: number, headers: readonly string[]): string {
  let head = statusLine(status);
  for (let i = 0; i < headers.length; i += 2)
    if (!isFraming(headers[i]!)) head += fieldLine(headers[i]!, headers[i + 1]!);
  return `${head}\r\n`;
}

/** 101, with Connection; `headers` carry Upgrade. */
export function switchHead(headers: readonly string[]): string {
  return `${interimHead(101, headers).slice(0, -2)}Connection: Upgrade\r\n\r\n`;
}
