import type { Socket } from 'node:net';

/** Bodies up to this size are copied behind their head, so that both leave in one write without a vector. */
const maxCopiedBytes = 8192;
const stagingBytes = 65_536;

let staging = Buffer.allocUnsafeSlow(stagingBytes);

/**
 * Writes a head (8-bit text) and what follows it with one system call. The staging buffer is used again only when the
 * socket has taken everything at once; otherwise it now belongs to that socket.
 */
export function writeWithHead(socket: Socket, head: string, body: Uint8Array): boolean {
  const total = head.length + body.length;
  if (body.length > maxCopiedBytes || total > stagingBytes) {
    socket.cork();
    socket.write(head, 'latin1');
    const flowing = socket.write(body);
    socket.uncork();
    return flowing;
  }
  staging.write(head, 0, 'latin1');
  staging.set(body, head.length);
  const flowing = socket.write(staging.subarray(0, total));
  if (socket.writableLength > 0) staging = Buffer.allocUnsafeSlow(stagingBytes);
  return flowing;
}
