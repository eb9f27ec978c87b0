import { type ProblemCode, problemDocument, problemMediaType, problems } from '#contract/problems.ts';

/** The decision not to forward, with the answer prepared: shared objects where nothing depends on the request. */
export class Refusal {
  readonly code: ProblemCode;
  readonly status: number;
  /** Flat; Content-Type included. */
  readonly headers: readonly string[];
  readonly body: Buffer;

  constructor(
    code: ProblemCode,
    headers: readonly string[] = [],
    detail?: string,
    extra?: Readonly<Record<string, unknown>>,
  ) {
    this.code = code;
    this.status = problems[code].status;
    this.headers = ['Content-Type', problemMediaType, 'Cache-Control', 'no-store', ...headers];
    this.body = Buffer.from(JSON.stringify(problemDocument(code, detail, extra)));
  }
}

const plain = new Map<ProblemCode, Refusal>();

/** The refusal of this code with its standard detail; one object for each code. */
export function refusal(code: ProblemCode): Refusal {
  let found = plain.get(code);
  if (!found) {
    found = new Refusal(code);
    plain.set(code, found);
  }
  return found;
}
