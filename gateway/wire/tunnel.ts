import type { Duplex } from 'node:stream';

/** One end of a tunnel, with what had already come from it. */
export interface TunnelEnd {
  readonly socket: Duplex;
  readonly head: Buffer;
}

/**
 * Joins two connections: bytes flow both ways with backpressure, an end passes on as an end, an error breaks both.
 * `done` is called once, when both are closed.
 */
export function joinConnections(one: TunnelEnd, other: TunnelEnd, done: () => void): void {
  let open = 2;
  for (const [from, to] of [
    [one.socket, other],
    [other.socket, one],
  ] as const) {
    from.on('error', () => to.socket.destroy());
    from.on('close', () => {
      // Without an end before it the close is an abort.
      if (from.readableEnded) to.socket.end();
      else to.socket.destroy();
      if (--open === 0) done();
    });
    if (to.head.length > 0) from.write(to.head);
    from.pipe(to.socket);
  }
}
