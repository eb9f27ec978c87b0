import { Anchor, Button, Group, Modal, Stack, Table, Text, TextInput, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { type App, call, listAll } from '../api.ts';
import { Failure, formatTime, Loading } from '../parts.tsx';

export function AppsPage({ operator }: { operator: boolean }) {
  const [creating, { open, close }] = useDisclosure(false);
  const apps = useQuery({ queryKey: ['apps'], queryFn: () => listAll<App>('/api/dev/apps?limit=100') });
  return (
    <Stack>
      <Group justify="space-between">
        <Title order={2}>Apps</Title>
        <Button onClick={open}>Create an app</Button>
      </Group>
      <Failure error={apps.error} />
      {apps.isPending && <Loading />}
      {apps.data?.length === 0 && <Text c="dimmed">No apps yet. Create one to get keys.</Text>}
      {apps.data !== undefined && apps.data.length > 0 && (
        <Table.ScrollContainer minWidth={600}>
          <Table highlightOnHover>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Name</Table.Th>
                <Table.Th>App</Table.Th>
                <Table.Th>Plan</Table.Th>
                <Table.Th>Version</Table.Th>
                <Table.Th>Created</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {apps.data.map((app) => (
                <Table.Tr key={app.app_id}>
                  <Table.Td>
                    <Anchor href={`#/apps/${encodeURIComponent(app.app_id)}`}>{app.name}</Anchor>
                  </Table.Td>
                  <Table.Td ff="monospace">{app.app_id}</Table.Td>
                  <Table.Td>{app.plan ?? 'default'}</Table.Td>
                  <Table.Td>{app.version ?? '—'}</Table.Td>
                  <Table.Td>{formatTime(app.created_at)}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      <Modal opened={creating} onClose={close} title="Create an app">
        <CreateApp operator={operator} done={close} />
      </Modal>
    </Stack>
  );
}

function CreateApp({ operator, done }: { operator: boolean; done: () => void }) {
  const [name, setName] = useState('');
  const [account, setAccount] = useState('');
  const queries = useQueryClient();
  const create = useMutation({
    mutationFn: () => call<App>('POST', '/api/dev/apps', { name, ...(account === '' ? {} : { account }) }),
    onSuccess: async (app) => {
      await queries.invalidateQueries({ queryKey: ['apps'] });
      done();
      window.location.hash = `/apps/${encodeURIComponent(app.app_id)}`;
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        create.mutate();
      }}
    >
      <Stack>
        <TextInput
          label="Name"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          required
        />
        {operator && (
          <TextInput
            label="Account"
            description="E-mail address of the developer; the account is made when there is none."
            type="email"
            value={account}
            onChange={(event) => setAccount(event.currentTarget.value)}
            required
          />
        )}
        <Failure error={create.error} />
        <Button type="submit" loading={create.isPending}>
          Create
        </Button>
      </Stack>
    </form>
  );
}
