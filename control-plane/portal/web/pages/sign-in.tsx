import { Alert, Button, Center, Code, Paper, PasswordInput, Stack, Text, Title } from '@mantine/core';
import { useState } from 'react';
import { getFarewell, signIn } from '../session.ts';

export function SignIn() {
  const [token, setToken] = useState('');
  const farewell = getFarewell();
  return (
    <Center mih="100vh" p="md">
      <Paper withBorder shadow="sm" p="xl" w={440} maw="100%">
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (token.trim() !== '') signIn(token.trim());
          }}
        >
          <Stack>
            <Title order={2}>Tollgate</Title>
            {farewell !== null && <Alert color="red">{farewell}</Alert>}
            <PasswordInput
              label="Token"
              description="An operator's token or a developer's."
              value={token}
              onChange={(event) => setToken(event.currentTarget.value)}
              autoComplete="off"
              autoFocus
              required
            />
            <Button type="submit">Sign in</Button>
            <Text size="sm" c="dimmed">
              The operator's token is in <Code>.tollgate/operator.token</Code>. A developer's comes from{' '}
              <Code>npx tollgate token --account you@example.com</Code>.
            </Text>
          </Stack>
        </form>
      </Paper>
    </Center>
  );
}
