import { useSyncExternalStore } from 'react';

/** Where in the console we are: the path behind `#`, so that the server needs one page only. */
export function useLocation(): string {
  return useSyncExternalStore(
    (listener) => {
      window.addEventListener('hashchange', listener);
      return () => window.removeEventListener('hashchange', listener);
    },
    () => window.location.hash.slice(1) || '/apps',
  );
}
