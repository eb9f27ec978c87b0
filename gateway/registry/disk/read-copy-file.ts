import { type EntrySink, type FileFacts, type FileHead, formatVersion, readEntries } from './entries.ts';
import { DiskCopyError, readFrames } from './frames.ts';

export interface ReadOptions {
  /** The end of the file may be unfinished. */
  readonly mayBeTorn: boolean;
  /** A log that continues only the snapshot of its own number is not read. */
  readonly skipAfterGap?: boolean;
}

/**
 * Reads one file of the copy into a sink; `size` is the length of what is whole. Throws DiskCopyError for one that is
 * damaged, incomplete, of another format or another content.
 */
export async function readCopyFile(
  path: string,
  content: FileHead['content'],
  sink: EntrySink,
  options: ReadOptions,
): Promise<{ size: number; skipped: boolean }> {
  const facts: FileFacts = {
    head: null,
    records: 0,
    expected: -1,
    checkHead: (head) => checkHead(path, content, head),
  };
  const frames = readFrames(path, options.mayBeTorn);
  try {
    for (;;) {
      const next = await frames.next();
      if (next.done) {
        if (content === 'snapshot' && facts.records !== facts.expected) {
          throw new DiskCopyError(`${path}: is incomplete`);
        }
        return { size: next.value, skipped: false };
      }
      readEntries(next.value, sink, path, facts);
      if (facts.head === null) throw new DiskCopyError(`${path}: does not begin as a ${content}`);
      if (options.skipAfterGap && facts.head.afterGap) return { size: 0, skipped: true };
    }
  } finally {
    await frames.return(0);
  }
}

function checkHead(path: string, content: FileHead['content'], head: FileHead): void {
  if (head.format === formatVersion && head.content === content) return;
  throw new DiskCopyError(
    `${path}: is a ${head.content} of format ${head.format}, not a ${content} of format ${formatVersion}`,
  );
}
