import type { FastifyRouteSchemaDef } from 'fastify/types/schema.js';
import type { TSchema } from 'typebox';
import { Convert } from 'typebox/value';
import type { FieldError } from '#contract/problems.ts';
import { check } from '#contract/validation.ts';
import { ProblemError } from './problem.ts';

/** Stands for a body that is JSON's null: the framework gives an absent body as null, and only that may be left out. */
export const jsonNull: unique symbol = Symbol('null');

/**
 * Checks requests against their TypeBox schemas. Query parameters are converted from text; bodies are taken as they
 * are. An absent body counts as an empty object.
 */
export function compileValidator({ schema, httpPart }: FastifyRouteSchemaDef<TSchema>) {
  const isBody = httpPart === 'body';
  return (data: unknown): { value: unknown } | { error: Error } => {
    const value = isBody ? (data ?? {}) : convertParameters(schema, { ...(data as Record<string, unknown>) });
    const errors = check(schema, value);
    if (errors.length === 0) return { value };
    return { error: isBody ? bodyProblem(errors) : parameterProblem(errors, httpPart ?? 'request') };
  };
}

/** Numbers and truth values are taken from text only as they are usually written. */
function convertParameters(schema: TSchema, given: Record<string, unknown>): unknown {
  const { properties = {} } = schema as { properties?: Record<string, { type?: string }> };
  const strange: Record<string, unknown> = {};
  for (const [name, { type }] of Object.entries(properties)) {
    const text = given[name];
    if (typeof text !== 'string') continue;
    const plain =
      type === 'integer' || type === 'number'
        ? /^-?\d+(?:\.\d+)?$/.test(text)
        : type !== 'boolean' || text === 'true' || text === 'false';
    if (!plain) strange[name] = text;
  }
  return { ...(Convert(schema, given) as object), ...strange };
}

function bodyProblem(errors: FieldError[]): ProblemError {
  return new ProblemError('validation_failed', undefined, { errors });
}

function parameterProblem(errors: FieldError[], part: string): ProblemError {
  return new ProblemError('invalid_parameter', `The ${part} is not valid.`, { errors });
}
