import type { Change } from '#contract/registry.ts';
import { recordKinds } from '../../credentials/key-table-layout.ts';
import { checkRecord } from '../../credentials/packed-record.ts';
import type { InternedText, PackedKind, PlainChange, StoredChange } from '../state.ts';
import { DiskCopyError, encodeFrame } from './frames.ts';

/** What a frame is made of: `type u8, length u32, body`. One frame is in force whole or not at all. */
const types = {
  head: 1,
  revision: 2,
  interned: 3,
  record: 4,
  removal: 5,
  plain: 6,
  end: 7,
  message: 8,
} as const;
const entryHeaderBytes = 5;

export const formatVersion = 1;

export interface FileHead {
  readonly format: number;
  readonly content: 'snapshot' | 'log';
  /** What this log continues is only in the snapshot of the same number. */
  readonly afterGap?: boolean;
}

/** A message of a portal that has been acted on. */
export interface SeenMessage {
  readonly id: string;
  /** When it was acted on. */
  readonly atMs: number;
  /** The key it was about, and when it says that this was so. */
  readonly keyId?: string;
  readonly toldAtMs?: number;
}

/** Receives the entries of frames. Buffers are valid during the call. */
export interface EntrySink {
  onRevision(revision: number): void;
  onInterned(interned: InternedText): void;
  onRecord(record: Buffer): void;
  onRemoval(kind: PackedKind, id: string): void;
  onPlain(change: PlainChange): void;
  onMessage(message: SeenMessage): void;
}

/** What a file says of itself. */
export interface FileFacts {
  head: FileHead | null;
  /** Called before anything after the head is read; throws to refuse the file. */
  readonly checkHead: (head: FileHead) => void;
  records: number;
  /** How many records it should have; -1 until its end. */
  expected: number;
}

/** Collects entries into one frame. */
export class FrameBuilder {
  #buffer = Buffer.allocUnsafe(4096);
  #length = 0;

  get bytes(): number {
    return this.#length;
  }

  head(head: FileHead): void {
    this.#add(types.head, Buffer.from(JSON.stringify(head)));
  }

  revision(revision: number): void {
    const body = Buffer.alloc(8);
    body.writeDoubleLE(revision);
    this.#add(types.revision, body);
  }

  interned({ number, text }: InternedText): void {
    const body = Buffer.alloc(4 + Buffer.byteLength(text));
    body.writeUInt32LE(number);
    body.write(text, 4);
    this.#add(types.interned, body);
  }

  record(record: Uint8Array): void {
    this.#add(types.record, record);
  }

  change(stored: StoredChange): void {
    if (!stored.packed) this.plain(stored.change);
    else if (stored.record !== null) this.record(stored.record);
    else this.#add(types.removal, Buffer.from(String.fromCharCode(recordKinds[stored.kind]) + stored.id));
  }

  plain(change: Change): void {
    this.#add(types.plain, Buffer.from(JSON.stringify(change)));
  }

  message(message: SeenMessage): void {
    this.#add(types.message, Buffer.from(JSON.stringify(message)));
  }

  end(records: number): void {
    const body = Buffer.alloc(4);
    body.writeUInt32LE(records);
    this.#add(types.end, body);
  }

  /** The frame; the builder is empty again. */
  take(): Buffer {
    const frame = encodeFrame(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
    return frame;
  }

  #add(type: number, body: Uint8Array): void {
    const end = this.#length + entryHeaderBytes + body.length;
    if (end > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(end, 2 * this.#buffer.length));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    this.#buffer[this.#length] = type;
    this.#buffer.writeUInt32LE(body.length, this.#length + 1);
    this.#buffer.set(body, this.#length + entryHeaderBytes);
    this.#length = end;
  }
}

const packedKinds = new Map<number, PackedKind>([
  [recordKinds.key, 'key'],
  [recordKinds.app, 'app'],
  [recordKinds.plan, 'plan'],
]);

/** Hands the entries of a frame's payload to a sink. `path` is for messages. */
export function readEntries(payload: Buffer, sink: EntrySink, path: string, facts: FileFacts): void {
  for (let at = 0; at < payload.length; ) {
    const type = payload[at]!;
    const from = at + entryHeaderBytes;
    const end = from + payload.readUInt32LE(at + 1);
    if (type === types.record) {
      if (checkRecord(payload, from, end) !== end - from || !packedKinds.has(payload[from]!)) {
        throw new DiskCopyError(`${path}: holds a record of an unknown kind or form`);
      }
      facts.records++;
      sink.onRecord(payload.subarray(from, end));
    } else if (type === types.revision) sink.onRevision(payload.readDoubleLE(from));
    else if (type === types.removal) {
      sink.onRemoval(packedKinds.get(payload[from]!)!, payload.toString('latin1', from + 1, end));
    } else if (type === types.interned) {
      sink.onInterned({ number: payload.readUInt32LE(from), text: payload.toString('utf8', from + 4, end) });
    } else if (type === types.plain) sink.onPlain(parse(payload, from, end) as PlainChange);
    else if (type === types.message) sink.onMessage(parse(payload, from, end) as SeenMessage);
    else if (type === types.end) facts.expected = payload.readUInt32LE(from);
    else if (type === types.head) {
      facts.head = parse(payload, from, end) as FileHead;
      facts.checkHead(facts.head);
    } else throw new DiskCopyError(`${path}: holds an entry of unknown type ${type}`);
    at = end;
  }
}

function parse(payload: Buffer, from: number, end: number): unknown {
  return JSON.parse(payload.toString('utf8', from, end));
}
