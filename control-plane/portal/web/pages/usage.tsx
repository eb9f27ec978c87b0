import { LineChart } from '@mantine/charts';
import { Group, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { call, type UsageDay } from '../api.ts';
import { Failure } from '../parts.tsx';

/** Calls and errors of the last 30 days. */
export function Usage({ appId }: { appId: string }) {
  const usage = useQuery({
    queryKey: ['usage', appId],
    queryFn: () => call<UsageDay[]>('GET', `/api/dev/apps/${encodeURIComponent(appId)}/usage?days=30`),
  });
  const days = [...(usage.data ?? [])].sort((a, b) => a.day.localeCompare(b.day));
  const calls = days.reduce((sum, day) => sum + day.calls, 0);
  const errors = days.reduce((sum, day) => sum + day.errors, 0);
  return (
    <Stack>
      <Title order={3}>Usage, last 30 days</Title>
      <Failure error={usage.error} />
      {usage.data !== undefined && calls === 0 && <Text c="dimmed">No calls yet.</Text>}
      {calls > 0 && (
        <>
          <Group gap="xl">
            <Text>{calls.toLocaleString()} calls</Text>
            <Text>{errors.toLocaleString()} errors</Text>
          </Group>
          <LineChart
            h={260}
            data={days.map((day) => ({ day: day.day, Calls: day.calls, Errors: day.errors }))}
            dataKey="day"
            series={[
              { name: 'Calls', color: 'teal.6' },
              { name: 'Errors', color: 'red.6' },
            ]}
            withLegend
          />
        </>
      )}
    </Stack>
  );
}
