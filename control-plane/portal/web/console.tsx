import { AppShell, Button, Group, NavLink, Text, Title } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { useLocation } from './location.ts';
import { AppPage } from './pages/app.tsx';
import { AppsPage } from './pages/apps.tsx';
import { GatewaysPage } from './pages/gateways.tsx';
import { SignIn } from './pages/sign-in.tsx';
import { isDeveloperToken, signOut, useToken } from './session.ts';

/** The frame of the console: sign-in, navigation, and the page that the address names. */
export function Console() {
  const token = useToken();
  const location = useLocation();
  const queries = useQueryClient();
  useEffect(() => {
    if (token === null) queries.clear();
  }, [token, queries]);
  if (token === null) return <SignIn />;
  const operator = !isDeveloperToken(token);
  return (
    <AppShell header={{ height: 56 }} navbar={{ width: 220, breakpoint: 'sm' }} padding="lg">
      <AppShell.Header px="lg">
        <Group h="100%" justify="space-between">
          <Title order={3}>Tollgate</Title>
          <Group>
            <Text size="sm" c="dimmed">
              {operator ? 'Operator' : 'Developer'}
            </Text>
            <Button size="xs" variant="default" onClick={() => signOut()}>
              Sign out
            </Button>
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs">
        <NavLink href="#/apps" label="Apps and keys" active={location.startsWith('/apps')} />
        {operator && <NavLink href="#/gateways" label="Gateways" active={location === '/gateways'} />}
        <NavLink href="/docs" label="API reference" />
      </AppShell.Navbar>
      <AppShell.Main>
        <PageOf location={location} operator={operator} />
      </AppShell.Main>
    </AppShell>
  );
}

function PageOf({ location, operator }: { location: string; operator: boolean }) {
  const app = /^\/apps\/([^/]+)$/.exec(location);
  if (app) return <AppPage appId={decodeURIComponent(app[1]!)} />;
  if (location === '/apps') return <AppsPage operator={operator} />;
  if (location === '/gateways' && operator) return <GatewaysPage />;
  return <Text>There is no such page.</Text>;
}
