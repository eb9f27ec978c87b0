import { Badge, Button, Group, Modal, Stack, Table, Text, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, type Key, type NewKey } from '../api.ts';
import { Failure, formatTime } from '../parts.tsx';

const colors = { active: 'teal', expired: 'gray', revoked: 'red' } as const;

interface KeyTableProps {
  readonly appId: string;
  readonly keys: readonly Key[];
  /** A rotation has made a new secret. */
  readonly onIssued: (key: NewKey) => void;
}

export function KeyTable({ appId, keys, onIssued }: KeyTableProps) {
  const [revoking, setRevoking] = useState<Key | null>(null);
  const queries = useQueryClient();
  const refresh = () => queries.invalidateQueries({ queryKey: ['keys', appId] });
  const rotate = useMutation({
    mutationFn: (key: Key) => call<NewKey>('POST', `/api/dev/keys/${key.key_id}/rotate`, {}),
    onSuccess: async (issued) => {
      onIssued(issued);
      await refresh();
    },
  });
  if (keys.length === 0) return <Text c="dimmed">No keys yet.</Text>;
  return (
    <>
      <Failure error={rotate.error} />
      <Table.ScrollContainer minWidth={760}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Name</Table.Th>
              <Table.Th>Key</Table.Th>
              <Table.Th>Environment</Table.Th>
              <Table.Th>Status</Table.Th>
              <Table.Th>Expires</Table.Th>
              <Table.Th />
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {keys.map((key) => (
              <Table.Tr key={key.key_id}>
                <Table.Td>{key.name || '—'}</Table.Td>
                <Table.Td ff="monospace">{key.key_id}</Table.Td>
                <Table.Td>
                  <Badge variant="light" color={key.environment === 'live' ? 'orange' : 'blue'}>
                    {key.environment}
                  </Badge>
                </Table.Td>
                <Table.Td>
                  <Badge color={colors[key.status]} title={key.revoked_reason ?? undefined}>
                    {key.status}
                  </Badge>
                </Table.Td>
                <Table.Td>{formatTime(key.expires_at)}</Table.Td>
                <Table.Td>
                  {key.status === 'active' && (
                    <Group gap="xs" justify="flex-end" wrap="nowrap">
                      <Button
                        size="xs"
                        variant="default"
                        loading={rotate.isPending && rotate.variables === key}
                        onClick={() => rotate.mutate(key)}
                      >
                        Rotate
                      </Button>
                      <Button size="xs" variant="light" color="red" onClick={() => setRevoking(key)}>
                        Revoke
                      </Button>
                    </Group>
                  )}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <Modal opened={revoking !== null} onClose={() => setRevoking(null)} title="Revoke this key?">
        {revoking !== null && (
          <Revoke
            target={revoking}
            done={async () => {
              setRevoking(null);
              await refresh();
            }}
          />
        )}
      </Modal>
    </>
  );
}

function Revoke({ target, done }: { target: Key; done: () => Promise<void> }) {
  const [reason, setReason] = useState('');
  const revoke = useMutation({
    mutationFn: () =>
      call<Key>('POST', `/api/dev/keys/${target.key_id}/revoke`, reason === '' ? {} : { reason }),
    onSuccess: done,
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        revoke.mutate();
      }}
    >
      <Stack>
        <Text size="sm">
          Requests with <b>{target.key_id}</b> are refused at once. This cannot be undone.
        </Text>
        <TextInput label="Reason" value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
        <Failure error={revoke.error} />
        <Button type="submit" color="red" loading={revoke.isPending}>
          Revoke
        </Button>
      </Stack>
    </form>
  );
}
