import { type CountryResponse, open } from 'maxmind';

/**
 * Opens an MMDB file (GeoLite2-Country, DB-IP country and the like) and returns the look-up of an address's country;
 * the file is reloaded when it is replaced. Rejects when the file is missing or not an MMDB.
 */
export async function openCountries(path: string): Promise<(address: string) => string | null> {
  const reader = await open<CountryResponse>(path, {
    cache: { max: 10_000 },
    watchForUpdates: true,
    watchForUpdatesNonPersistent: true,
  });
  return (address) => {
    const found = reader.get(address);
    return found?.country?.iso_code ?? found?.registered_country?.iso_code ?? null;
  };
}
