import { Alert, Center, Loader } from '@mantine/core';

/** Pieces that several pages show. */

export function Failure({ error }: { error: Error | null }) {
  return error === null ? null : <Alert color="red">{error.message}</Alert>;
}

export function Loading() {
  return (
    <Center p="xl">
      <Loader />
    </Center>
  );
}

export function formatTime(time: string | null): string {
  return time === null ? '—' : new Date(time).toLocaleString();
}
