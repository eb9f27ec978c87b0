import Type from 'typebox';
import { accountParameter } from '../apps/schema.ts';
import { originOf } from '../audit/record.ts';
import type { FastifyRequest, Feature } from '../context.ts';
import type { Queryable } from '../database/database.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { notFound, ProblemError } from '../http/problem.ts';
import { chooseAccount } from '../identity/account-choice.ts';
import { type Role, requireRole } from '../identity/caller.ts';
import {
  deleteInvitation,
  listMembers,
  lockMembers,
  type MemberRow,
  putInvitation,
  setRole,
} from './queries.ts';
import {
  invitationBody,
  invitationParams,
  memberList,
  memberParams,
  memberReply,
  roleBody,
} from './schema.ts';

function presentMember(row: MemberRow) {
  return {
    user_id: row.user_id,
    email: row.email,
    name: row.name,
    role: row.role,
    state: row.user_id === null ? ('invited' as const) : ('member' as const),
    since: row.since.toISOString(),
  };
}

/** Members of an account: everyone sees them, owners change them. */
export const members: Feature = (app, context) => {
  const { db, audit, auth } = context;
  const common = { tags: ['developer'], security: callers.developer };
  const query = Type.Object({ account: accountParameter });

  async function accountOf(request: FastifyRequest, wanted: string | undefined): Promise<string> {
    const accountId = await chooseAccount(db, request, wanted);
    if (accountId === null) throw new ProblemError('invalid_parameter', 'Name the account in "account".');
    return accountId;
  }

  app.get(
    '/api/dev/members',
    {
      onRequest: auth.developer,
      schema: {
        ...common,
        operationId: 'listMembers',
        summary: 'List members and invitations',
        querystring: query,
        response: {
          200: memberList,
          ...problemReplies('invalid_parameter', 'credentials_invalid', 'not_found'),
        },
      },
    },
    async (request) => ({
      data: (await listMembers(db, await accountOf(request, request.query.account))).map(presentMember),
    }),
  );

  app.post(
    '/api/dev/members',
    {
      onRequest: auth.developer,
      schema: {
        ...common,
        operationId: 'inviteMember',
        summary: 'Invite an e-mail address',
        description: 'It becomes a member when its owner signs in with it within 14 days.',
        querystring: query,
        body: invitationBody,
        response: {
          201: memberReply,
          ...problemReplies(
            'invalid_parameter',
            'credentials_invalid',
            'forbidden',
            'not_found',
            'conflict',
            'validation_failed',
          ),
        },
      },
    },
    async (request, reply) => {
      requireRole(request, 'owner');
      const accountId = await accountOf(request, request.query.account);
      const { email, role } = request.body;
      const invited = await db.transaction(async (tx) => {
        const present = await listMembers(tx, accountId);
        if (present.some((row) => row.user_id && row.email?.toLowerCase() === email.toLowerCase())) {
          throw new ProblemError('conflict', 'This address is a member already.');
        }
        await putInvitation(tx, accountId, email, role);
        await audit.record(tx, originOf(request), {
          action: 'member.invite',
          accountId,
          target: { account_id: accountId, email },
          after: { role },
        });
        return (await listMembers(tx, accountId)).find((row) => row.user_id === null && row.email === email)!;
      });
      return reply.code(201).send(presentMember(invited));
    },
  );

  app.delete(
    '/api/dev/invitations/:email',
    {
      onRequest: auth.developer,
      schema: {
        ...common,
        operationId: 'withdrawInvitation',
        summary: 'Withdraw an invitation',
        params: invitationParams,
        querystring: query,
        response: {
          204: Type.Null({ description: 'Withdrawn.' }),
          ...problemReplies('invalid_parameter', 'credentials_invalid', 'forbidden', 'not_found'),
        },
      },
    },
    async (request, reply) => {
      requireRole(request, 'owner');
      const accountId = await accountOf(request, request.query.account);
      const { email } = request.params;
      await db.transaction(async (tx) => {
        if (!(await deleteInvitation(tx, accountId, email))) throw notFound('invitation');
        await audit.record(tx, originOf(request), {
          action: 'member.withdraw',
          accountId,
          target: { account_id: accountId, email },
        });
      });
      return reply.code(204).send(null);
    },
  );

  async function change(request: FastifyRequest, accountId: string, userId: string, role: Role | null) {
    requireRole(request, 'owner');
    return await db.transaction(async (tx) => {
      const before = await lockMembers(tx, accountId);
      const member = before.find((row) => row.user_id === userId);
      if (!member) throw notFound('member');
      const owners = before.filter((row) => row.role === 'owner');
      if (member.role === 'owner' && role !== 'owner' && owners.length === 1) {
        throw new ProblemError('conflict', 'An account keeps at least one owner.');
      }
      await setRole(tx, accountId, userId, role);
      await audit.record(tx, originOf(request), {
        action: role === null ? 'member.remove' : 'member.change',
        accountId,
        target: { account_id: accountId, user_id: userId },
        before: { role: member.role },
        ...(role === null ? {} : { after: { role } }),
      });
      return await memberOf(tx, accountId, userId);
    });
  }

  app.patch(
    '/api/dev/members/:userId',
    {
      onRequest: auth.developer,
      schema: {
        ...common,
        operationId: 'changeMember',
        summary: 'Change the role of a member',
        params: memberParams,
        querystring: query,
        body: roleBody,
        response: {
          200: memberReply,
          ...problemReplies(
            'invalid_parameter',
            'credentials_invalid',
            'forbidden',
            'not_found',
            'conflict',
            'validation_failed',
          ),
        },
      },
    },
    async (request) => {
      const accountId = await accountOf(request, request.query.account);
      return presentMember((await change(request, accountId, request.params.userId, request.body.role))!);
    },
  );

  app.delete(
    '/api/dev/members/:userId',
    {
      onRequest: auth.developer,
      schema: {
        ...common,
        operationId: 'removeMember',
        summary: 'Remove a member',
        params: memberParams,
        querystring: query,
        response: {
          204: Type.Null({ description: 'Removed.' }),
          ...problemReplies('invalid_parameter', 'credentials_invalid', 'forbidden', 'not_found', 'conflict'),
        },
      },
    },
    async (request, reply) => {
      const accountId = await accountOf(request, request.query.account);
      await change(request, accountId, request.params.userId, null);
      return reply.code(204).send(null);
    },
  );
};

async function memberOf(tx: Queryable, accountId: string, userId: string): Promise<MemberRow | undefined> {
  return (await listMembers(tx, accountId)).find((row) => row.user_id === userId);
}
