import type { FastifyRouteSchemaDef } from 'fastify/types/schema.js';
import type { TSchema } from 'typebox';
import { Convert } from 'typebox/value';
import type { FieldError } from '#contract/problems.ts';
import { check } from '#contract/validation.ts';
import { ProblemError } from './problem.ts';

/**
 * Checks requests against their TypeBox schemas. Query parameters are converted from text; bodies are taken as they
 * are. An absent body counts as an empty object.
 */
export function compileValidator({ schema, httpPart }: FastifyRouteSchemaDef<TSchema>) {
  const isBody = httpPart === 'body';
  return (data: unknown): { value: unknown } | { error: Error } => {
    const value = isBody ? (data ?? {}) : Convert(schema, { ...(data as object) });
    const errors = check(schema, value);
    if (errors.length === 0) return { value };
    return { error: isBody ? bodyProblem(errors) : parameterProblem(errors, httpPart ?? 'request') };
  };
}

function bodyProblem(errors: FieldError[]): ProblemError {
  return new ProblemError('validation_failed', undefined, { errors });
}

function parameterProblem(errors: FieldError[], part: string): ProblemError {
  return new ProblemError('invalid_parameter', `The ${part} is not valid.`, { errors });
}
