import { Stack, Table, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { call, type Gateway } from '../api.ts';
import { Failure, formatTime, Loading } from '../parts.tsx';

/** The gateways that follow this control plane. */
export function GatewaysPage() {
  const gateways = useQuery({
    queryKey: ['gateways'],
    queryFn: async () => {
      const reply = await call<Gateway[] | { data: Gateway[] }>('GET', '/admin/v1/gateways');
      return Array.isArray(reply) ? reply : reply.data;
    },
    refetchInterval: 5000,
  });
  return (
    <Stack>
      <Title order={2}>Gateways</Title>
      <Failure error={gateways.error} />
      {gateways.isPending && <Loading />}
      {gateways.data?.length === 0 && <Text c="dimmed">No gateway has connected yet.</Text>}
      {gateways.data !== undefined && gateways.data.length > 0 && (
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Gateway</Table.Th>
              <Table.Th>Version</Table.Th>
              <Table.Th>Revision</Table.Th>
              <Table.Th>Last seen</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {gateways.data.map((gateway) => (
              <Table.Tr key={gateway.id}>
                <Table.Td ff="monospace">{gateway.id}</Table.Td>
                <Table.Td>{gateway.version}</Table.Td>
                <Table.Td>{gateway.revision}</Table.Td>
                <Table.Td>{formatTime(gateway.last_seen_at)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </Stack>
  );
}
