import { useSyncExternalStore } from 'react';

/**
 * The session of this browser tab: a bearer token, kept until the tab is closed. Tokens are an operator's token or a
 * developer's JWT.
 */

const storageKey = 'tollgate.token';
const listeners = new Set<() => void>();
let farewell: string | null = null;

export function getToken(): string | null {
  return sessionStorage.getItem(storageKey);
}

export function signIn(token: string): void {
  farewell = null;
  sessionStorage.setItem(storageKey, token);
  announce();
}

/** `reason` is shown on the sign-in page. */
export function signOut(reason: string | null = null): void {
  farewell = reason;
  sessionStorage.removeItem(storageKey);
  announce();
}

export function getFarewell(): string | null {
  return farewell;
}

/** An operator's token is opaque; a developer's is a JWT of three parts. */
export function isDeveloperToken(token: string): boolean {
  return token.split('.').length === 3;
}

function announce(): void {
  for (const listener of listeners) listener();
}

export function useToken(): string | null {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, getToken);
}
