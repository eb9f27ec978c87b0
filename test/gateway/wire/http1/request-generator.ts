import { requestCases } from './request-corpus.ts';

/** A small generator of pseudo-random numbers (mulberry32), so that a run can be repeated from its seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * limit);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
}

const seeds = requestCases.map(({ raw }) => raw).filter((raw) => raw.length < 1200);
const bytes = [
  '\r',
  '\n',
  '\r\n',
  ' ',
  '\t',
  '\0',
  ':',
  ';',
  ',',
  '"',
  '0',
  '1',
  'f',
  '-',
  '+',
  '\x0b',
  '\x7f',
  '\xff',
  '%',
  '/',
  '#',
  '?',
  '@',
  '[',
  '\\',
];
const lines = [
  'Content-Length: 5',
  'Content-Length: 0',
  'Content-Length: 5, 5',
  'content-length : 5',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding:\tchunked',
  'Transfer-Encoding: \x0bchunked',
  'Host: b',
  'Host: a:1',
  'Connection: close',
  'Connection: keep-alive, x',
  'Connection: upgrade',
  'Upgrade: x',
  'Expect: 100-continue',
  'Trailer: x',
  'X: y',
  ' folded',
  'X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
];
const bodies = [
  'hello',
  '5\r\nhello\r\n0\r\n\r\n',
  '5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n',
  '0\r\n\r\n',
  'GET /next HTTP/1.1\r\nHost: n\r\n\r\n',
];

/** One input: one or two messages of the corpus, or made of parts, with a few small changes. */
export function generateInput(random: Random): string {
  let text = random.below(4) === 0 ? assemble(random) : random.pick(seeds);
  if (random.below(3) === 0) text += random.below(2) === 0 ? random.pick(seeds) : assemble(random);
  for (let changes = random.below(4); changes > 0; changes--) text = mutate(text, random);
  return text;
}

function assemble(random: Random): string {
  const method = random.pick(['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'REPORT']);
  const target = random.pick(['/', '/a', '/a?b=c', '/%41', '*', 'http://a/', '/a%2']);
  const version = random.pick(['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0']);
  const chosen = Array.from({ length: random.below(4) }, () => random.pick(lines));
  return `${[`${method} ${target} ${version}`, 'Host: a', ...chosen].join('\r\n')}\r\n\r\n${random.pick(['', ...bodies])}`;
}

function mutate(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  const end = Math.min(text.length, at + 1 + random.below(4));
  switch (random.below(7)) {
    case 0:
      return text.slice(0, at) + random.pick(bytes) + text.slice(at);
    case 1:
      return text.slice(0, at) + random.pick(bytes) + text.slice(end);
    case 2:
      return text.slice(0, at) + text.slice(end);
    case 3:
      return text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1);
    case 4: {
      const lineEnd = text.indexOf('\r\n', at);
      return lineEnd < 0 ? text : `${text.slice(0, lineEnd)}\r\n${random.pick(lines)}${text.slice(lineEnd)}`;
    }
    case 5:
      return text.slice(0, end) + text.slice(at);
    default: {
      const other = random.pick(seeds);
      return text.slice(0, at) + other.slice(random.below(other.length + 1));
    }
  }
}
