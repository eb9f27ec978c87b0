import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openCountries } from '../../../gateway/usage/country.ts';
import { makeFolder, removeFolder } from '../../support/temporary-folder.ts';
import { makeMmdb } from './mmdb.ts';

test('an MMDB file gives the country of an address; what it does not know has none', async (t) => {
  const folder = makeFolder('mmdb');
  t.after(() => removeFolder(folder));
  const file = join(folder, 'countries.mmdb');
  writeFileSync(file, makeMmdb({ '41.82.0.0/15': 'SN', '154.0.24.0/22': 'CI', '2.0.0.0/12': 'FR' }));
  const countryOf = await openCountries(file);
  assert.deepEqual(['41.82.1.2', '41.83.255.255', '154.0.25.1', '2.3.4.5'].map(countryOf), [
    'SN',
    'SN',
    'CI',
    'FR',
  ]);
  assert.equal(countryOf('41.84.0.1'), null);
  assert.equal(countryOf('192.0.2.1'), null);
});

test('a file that is missing or no MMDB is an error', async (t) => {
  const folder = makeFolder('mmdb');
  t.after(() => removeFolder(folder));
  await assert.rejects(openCountries(join(folder, 'missing.mmdb')));
  const file = join(folder, 'text.mmdb');
  writeFileSync(file, 'not a database');
  await assert.rejects(openCountries(file));
});
