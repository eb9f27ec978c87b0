import { createRequire } from 'node:module';

interface Parser {
  initialize(type: number, resource: object, maxHeaderSize: number): void;
  execute(bytes: Buffer): number | (Error & { code?: string; bytesParsed: number });
  [callback: number]: (...args: never[]) => unknown;
}

interface ParserClass {
  new (): Parser;
  readonly REQUEST: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}

const { HTTPParser, methods } = createRequire(import.meta.url)('_http_common') as {
  HTTPParser: ParserClass;
  methods: readonly string[];
};

export interface NodeRequest {
  readonly method: string;
  readonly target: string;
  readonly httpVersion: string;
  /** Flat, names in lower case. */
  readonly headers: readonly string[];
  readonly trailers: readonly string[];
  readonly upgrade: boolean;
  body: string;
  complete: boolean;
}

/** What node:http's own parser makes of the same bytes. */
export function readWithNode(bytes: Buffer): { requests: NodeRequest[]; error: string | null } {
  const requests: NodeRequest[] = [];
  let current: (NodeRequest & { trailers: string[] }) | null = null;
  let pending: string[] = [];
  let pendingTarget = '';
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {}, 1 << 20);
  const lower = (flat: readonly string[]): string[] =>
    flat.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));
  parser[HTTPParser.kOnHeaders] = (headers: string[], target: string) => {
    if (current === null) {
      pending.push(...headers);
      pendingTarget += target;
    } else current.trailers.push(...lower(headers));
  };
  parser[HTTPParser.kOnHeadersComplete] = (
    major: number,
    minor: number,
    headers: string[] | undefined,
    method: number,
    target: string | undefined,
    _status: undefined,
    _message: undefined,
    upgrade: boolean,
  ) => {
    current = {
      method: methods[method]!,
      target: pendingTarget + (target ?? ''),
      httpVersion: `${major}.${minor}`,
      headers: lower([...pending, ...(headers ?? [])]),
      trailers: [],
      upgrade,
      body: '',
      complete: false,
    };
    pending = [];
    pendingTarget = '';
    requests.push(current);
    return 0;
  };
  parser[HTTPParser.kOnBody] = (chunk: Buffer) => {
    current!.body += chunk.toString('latin1');
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    current!.complete = true;
    current = null;
  };
  const result = parser.execute(bytes);
  return { requests, error: typeof result === 'number' ? null : (result.code ?? 'error') };
}
