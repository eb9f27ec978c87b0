import Type from 'typebox';
import { BatchFormatError, splitBatches, usageBatchesMediaType } from '#contract/usage-batch.ts';
import type { App, Context } from '../context.ts';
import { problemReplies } from '../http/openapi.ts';
import { ProblemError } from '../http/problem.ts';
import type { Ingestor } from './ingest.ts';

const maxMessageBytes = 8 << 20;

/** `POST /usage/v1/batches`: batches from gateways. The answer comes when they are committed. */
export function addIngestRoutes(app: App, { auth }: Context, ingestor: Ingestor): void {
  app.addContentTypeParser(
    usageBatchesMediaType,
    { parseAs: 'buffer', bodyLimit: maxMessageBytes },
    (_request, body, done) => done(null, body),
  );
  app.post(
    '/usage/v1/batches',
    {
      onRequest: auth.gateway,
      bodyLimit: maxMessageBytes,
      schema: {
        operationId: 'ingestUsage',
        tags: ['registry'],
        security: [{ gateway: [] }],
        summary: 'Take in usage batches of a gateway',
        description: 'Answered once they are committed. A batch that comes again is counted once.',
        consumes: [usageBatchesMediaType],
        response: {
          200: Type.Object({
            accepted: Type.Integer(),
            duplicates: Type.Integer(),
            dead_lettered: Type.Integer({ description: 'Set aside: they can never be ingested.' }),
          }),
          ...problemReplies(
            'credentials_invalid',
            'invalid_parameter',
            'body_too_large',
            'media_type_unsupported',
          ),
        },
      },
    },
    async (request) => {
      if (!Buffer.isBuffer(request.body)) throw new ProblemError('media_type_unsupported');
      let batches: Uint8Array[];
      try {
        batches = splitBatches(request.body);
      } catch (error) {
        if (error instanceof BatchFormatError) throw new ProblemError('invalid_parameter', error.message);
        throw error;
      }
      const { accepted, duplicates, deadLettered } = await ingestor.ingest(batches, `http ${request.ip}`);
      return { accepted, duplicates, dead_lettered: deadLettered };
    },
  );
}
