import type { FastifyReply, FastifyRequest } from 'fastify';
import { sendProblem } from './problem.ts';

/** Answers what no route takes: 405 with Allow when the path exists for other methods, else 404. */
export class MethodIndex {
  readonly #paths = new Map<string, { pattern: RegExp; methods: Set<string> }>();

  add(url: string, methods: string | readonly string[]): void {
    let entry = this.#paths.get(url);
    if (!entry) {
      const source = url
        .split('/')
        .map((segment) =>
          segment
            .split(/(::|:[A-Za-z_]+|\*)/)
            .map((part) => {
              if (part === '::') return ':';
              if (part === '*') return '.*';
              return /^:[A-Za-z_]/.test(part) ? '[^/]+' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
            })
            .join(''),
        )
        .join('/');
      entry = { pattern: new RegExp(`^${source}$`), methods: new Set() };
      this.#paths.set(url, entry);
    }
    for (const method of typeof methods === 'string' ? [methods] : methods) entry.methods.add(method);
  }

  readonly handler = (request: FastifyRequest, reply: FastifyReply): void => {
    const path = request.url.split('?', 1)[0]!;
    const allowed = new Set<string>();
    for (const { pattern, methods } of this.#paths.values()) {
      if (pattern.test(path)) for (const method of methods) allowed.add(method);
    }
    if (allowed.size > 0 && !allowed.has(request.method)) {
      void reply.header('allow', [...allowed].sort().join(', '));
      sendProblem(reply, 'method_not_allowed');
      return;
    }
    sendProblem(reply, 'not_found');
  };
}
