import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './processes.ts';
import { makeFolder } from './temporary-folder.ts';

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** A private certificate authority in a fresh folder, made with openssl. */
export interface TestAuthority {
  /** Its own certificate, PEM file. */
  readonly ca: string;
  /** A certificate for 127.0.0.1 and localhost with this common name, good for servers and clients. */
  issue(commonName: string): Promise<CertificateFiles>;
}

export async function makeAuthority(): Promise<TestAuthority> {
  const folder = makeFolder('ca');
  const file = (name: string): string => join(folder, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await runCommand('openssl', [
    ...['req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=Test authority'],
    ...['-keyout', file('ca.key'), '-out', file('ca.pem')],
  ]);
  let issued = 0;
  return {
    ca: file('ca.pem'),
    issue: async (commonName) => {
      const name = `leaf-${++issued}`;
      const files = { certificate: file(`${name}.pem`), key: file(`${name}.key`) };
      writeFileSync(file(`${name}.ext`), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
      await runCommand('openssl', [
        ...['req', ...newKey, '-subj', `/CN=${commonName}`],
        ...['-keyout', files.key, '-out', file(`${name}.csr`)],
      ]);
      await runCommand('openssl', [
        ...['x509', '-req', '-in', file(`${name}.csr`), '-days', '1', '-extfile', file(`${name}.ext`)],
        ...['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-set_serial', String(issued)],
        ...['-out', files.certificate],
      ]);
      return files;
    },
  };
}
