import { STATUS_CODES } from 'node:http';

/** What would end a line early or mean nothing in a field value; text of more than eight bits would be cut to eight. */
const unsafe = /[^\t\x20-\x7e\x80-\xff]/;

/** "HTTP/1.1 200 OK" with its line end, for every status. */
const statusLines: readonly string[] = Array.from({ length: 600 }, (_, status) =>
  status < 100 ? '' : `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`,
);

export function statusLine(status: number): string {
  return statusLines[status] ?? `HTTP/1.1 ${status} \r\n`;
}

/** A header line. Whatever a field value must not hold is taken out, so that no value can begin a line of its own. */
export function fieldLine(name: string, value: string): string {
  return `${name}: ${cleanValue(value)}\r\n`;
}

export function cleanValue(value: string): string {
  return unsafe.test(value) ? value.replace(/[^\t\x20-\x7e\x80-\xff]/g, '') : value;
}

/**
 * Whether a field is the wire's own to send: framing and persistence. Only names of these lengths and initials are
 * compared; `name` may be in any case.
 */
export function isFraming(name: string): boolean {
  switch (name.length) {
    case 7:
      return startsWith(name, 0x74) && equalsName(name, 'trailer');
    case 10:
      return (
        (startsWith(name, 0x63) && equalsName(name, 'connection')) ||
        (startsWith(name, 0x6b) && equalsName(name, 'keep-alive'))
      );
    case 14:
      return startsWith(name, 0x63) && equalsName(name, 'content-length');
    case 16:
      return startsWith(name, 0x70) && equalsName(name, 'proxy-connection');
    case 17:
      return startsWith(name, 0x74) && equalsName(name, 'transfer-encoding');
    default:
      return false;
  }
}

export function isDate(name: string): boolean {
  return name.length === 4 && (name === 'date' || name === 'Date');
}

function startsWith(name: string, lower: number): boolean {
  return (name.charCodeAt(0) | 0x20) === lower;
}

function equalsName(name: string, lower: string): boolean {
  return name === lower || name.toLowerCase() === lower;
}

/** The trailer section that ends a chunked body. */
export function lastChunk(trailers: readonly string[] | null): string {
  if (trailers === null || trailers.length === 0) return '0\r\n\r\n';
  let text = '0\r\n';
  for (let i = 0; i < trailers.length; i += 2) text += fieldLine(trailers[i]!, trailers[i + 1]!);
  return `${text}\r\n`;
}
