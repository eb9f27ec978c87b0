import { Anchor, Button, Group, Stack, Text, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { type App, call, type Key, listAll, type NewKey } from '../api.ts';
import { Failure, Loading } from '../parts.tsx';
import { KeyTable } from './key-table.tsx';
import { CreateKey, ShowSecret } from './new-key.tsx';
import { Usage } from './usage.tsx';

export function AppPage({ appId }: { appId: string }) {
  const path = `/api/dev/apps/${encodeURIComponent(appId)}`;
  const [creating, { open, close }] = useDisclosure(false);
  const [issued, setIssued] = useState<NewKey | null>(null);
  const app = useQuery({ queryKey: ['app', appId], queryFn: () => call<App>('GET', path) });
  const keys = useQuery({ queryKey: ['keys', appId], queryFn: () => listAll<Key>(`${path}/keys?limit=100`) });
  return (
    <Stack gap="xl">
      <Stack gap={4}>
        <Anchor href="#/apps" size="sm">
          Apps
        </Anchor>
        <Title order={2}>{app.data?.name ?? '…'}</Title>
        <Text ff="monospace" size="sm" c="dimmed">
          {appId}
        </Text>
      </Stack>
      <Failure error={app.error} />
      <Stack>
        <Group justify="space-between">
          <Title order={3}>Keys</Title>
          <Button onClick={open}>Create a key</Button>
        </Group>
        <Failure error={keys.error} />
        {keys.isPending && <Loading />}
        {keys.data !== undefined && <KeyTable appId={appId} keys={keys.data} onIssued={setIssued} />}
      </Stack>
      <Usage appId={appId} />
      <CreateKey appId={appId} opened={creating} onClose={close} onIssued={setIssued} />
      <ShowSecret issued={issued} onClose={() => setIssued(null)} />
    </Stack>
  );
}
