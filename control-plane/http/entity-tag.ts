import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ProblemError } from './problem.ts';

/** The entity tag of a representation (RFC 9110 section 8.8.3): it changes whenever the representation does. */
export function entityTag(representation: unknown): string {
  return `"${createHash('sha256').update(JSON.stringify(representation)).digest('base64url').slice(0, 27)}"`;
}

/** Refuses an update whose If-Match does not name the current representation. Without If-Match all pass. */
export function checkPrecondition(request: FastifyRequest, current: unknown): void {
  const wanted = request.headers['if-match'];
  if (wanted === undefined || wanted.trim() === '*') return;
  const tags = wanted.split(',').map((tag) => tag.trim());
  if (!tags.includes(entityTag(current))) throw new ProblemError('precondition_failed');
}

/** Sends a representation with its entity tag, or 304 when the client has it. */
export function sendTagged(
  request: FastifyRequest,
  reply: FastifyReply,
  representation: unknown,
): FastifyReply {
  const tag = entityTag(representation);
  void reply.header('etag', tag);
  const known = request.headers['if-none-match'];
  if (request.method === 'GET' && known !== undefined) {
    const tags = known.split(',').map((each) => each.trim().replace(/^W\//, ''));
    if (tags.includes(tag) || tags.includes('*')) return reply.code(304).send();
  }
  return reply.send(representation);
}
