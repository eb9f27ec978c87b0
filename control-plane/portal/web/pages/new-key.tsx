import {
  Alert,
  Button,
  Code,
  CopyButton,
  Group,
  Modal,
  SegmentedControl,
  Stack,
  Text,
  TextInput,
} from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, type NewKey } from '../api.ts';
import { Failure } from '../parts.tsx';

interface CreateKeyProps {
  readonly appId: string;
  readonly opened: boolean;
  readonly onClose: () => void;
  readonly onIssued: (key: NewKey) => void;
}

export function CreateKey({ appId, opened, onClose, onIssued }: CreateKeyProps) {
  const [name, setName] = useState('');
  const [environment, setEnvironment] = useState('test');
  const [kind, setKind] = useState('api_key');
  const queries = useQueryClient();
  const create = useMutation({
    mutationFn: () =>
      call<NewKey>('POST', `/api/dev/apps/${encodeURIComponent(appId)}/keys`, {
        name,
        environment,
        key_type: kind,
      }),
    onSuccess: async (issued) => {
      onClose();
      setName('');
      onIssued(issued);
      await queries.invalidateQueries({ queryKey: ['keys', appId] });
    },
  });
  return (
    <Modal opened={opened} onClose={onClose} title="Create a key">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate();
        }}
      >
        <Stack>
          <TextInput label="Name" value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <SegmentedControl
            value={environment}
            onChange={setEnvironment}
            data={[
              { value: 'test', label: 'Test' },
              { value: 'live', label: 'Live' },
            ]}
          />
          <SegmentedControl
            value={kind}
            onChange={setKind}
            data={[
              { value: 'api_key', label: 'Signs requests' },
              { value: 'bearer', label: 'Bearer secret' },
            ]}
          />
          <Failure error={create.error} />
          <Button type="submit" loading={create.isPending}>
            Create
          </Button>
        </Stack>
      </form>
    </Modal>
  );
}

export function ShowSecret({ issued, onClose }: { issued: NewKey | null; onClose: () => void }) {
  return (
    <Modal
      opened={issued !== null}
      onClose={onClose}
      title="Keep this secret now"
      size="lg"
      closeOnClickOutside={false}
    >
      {issued !== null && (
        <Stack>
          <Alert color="orange">It is shown this once and cannot be read again.</Alert>
          <Text size="sm">Key</Text>
          <Code block>{issued.key_id}</Code>
          <Text size="sm">Secret</Text>
          <Code block data-testid="secret">
            {issued.secret}
          </Code>
          <Group justify="flex-end">
            <CopyButton value={issued.secret}>
              {({ copied, copy }) => (
                <Button variant="default" onClick={copy}>
                  {copied ? 'Copied' : 'Copy the secret'}
                </Button>
              )}
            </CopyButton>
            <Button onClick={onClose}>Done</Button>
          </Group>
        </Stack>
      )}
    </Modal>
  );
}
