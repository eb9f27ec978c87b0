/** Splits a body of newline-delimited JSON into values. */

const maxLineBytes = 256 * 1024 * 1024;
const newline = 0x0a;

/** The peer broke the protocol of the stream. */
export class StreamProtocolError extends Error {
  override name = 'StreamProtocolError';
}

/**
 * Parses the lines of a body. `patienceMs` is how long it waits for more; after that `onSilence` is called, which has
 * to end the body. Time that the consumer takes does not count.
 */
export async function* readLines(
  body: AsyncIterable<Buffer>,
  patienceMs: number,
  onSilence: () => void,
): AsyncGenerator<unknown, void> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  const chunks = body[Symbol.asyncIterator]();
  for (;;) {
    const timer = setTimeout(onSilence, patienceMs);
    const next = await chunks.next().finally(() => clearTimeout(timer));
    if (next.done) {
      if (restBytes > 0) throw new StreamProtocolError('the stream ended within a line');
      return;
    }
    const chunk = next.value;
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      let line = chunk.subarray(start, end);
      if (restBytes > 0) {
        line = Buffer.concat([...rest, line]);
        rest = [];
        restBytes = 0;
      }
      start = end + 1;
      if (line.length > 0) yield parseLine(line);
    }
    if (start < chunk.length) {
      rest.push(start === 0 ? chunk : chunk.subarray(start));
      restBytes += chunk.length - start;
      if (restBytes > maxLineBytes) throw new StreamProtocolError(`a line exceeds ${maxLineBytes} bytes`);
    }
  }
}

function parseLine(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'));
  } catch (error) {
    throw new StreamProtocolError(`a line is not JSON: ${(error as Error).message}`);
  }
}
