// The X.509 library expects it to be there.
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** Certificates without a public authority: an own root, made once, that signs a leaf for some names. */

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;

export interface CertificateWithKey {
  /** PEM. */
  readonly certificate: string;
  /** PKCS #8, PEM. */
  readonly key: string;
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const bytes = await webcrypto.subtle.exportKey('pkcs8', key);
  return x509.PemConverter.encode(bytes as ArrayBuffer, 'PRIVATE KEY');
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(pem), algorithm, true, ['sign']);
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, [
    'sign',
    'verify',
  ]) as Promise<webcrypto.CryptoKeyPair>;
}

/** A positive serial number of 16 random bytes. */
function makeSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}

/** A new root of ten years, for servers only. */
export async function makeAuthority(name: string, nowMs: number): Promise<CertificateWithKey> {
  const keys = await makeKeys();
  const root = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: makeSerial(),
      name: [{ CN: [name] }],
      notBefore: new Date(nowMs - dayMs),
      notAfter: new Date(nowMs + 3650 * dayMs),
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(
          keys.publicKey,
          false,
          webcrypto as unknown as Crypto,
        ),
      ],
    },
    webcrypto as unknown as Crypto,
  );
  return { certificate: `${root.toString('pem')}\n`, key: await exportKey(keys.privateKey) };
}

/** A leaf for these names, signed by an authority; its chain is the leaf alone. */
export async function issueFromAuthority(
  authority: CertificateWithKey,
  names: readonly string[],
  lifetimeDays: number,
  nowMs: number,
): Promise<CertificateWithKey> {
  const root = new x509.X509Certificate(authority.certificate);
  const keys = await makeKeys();
  const leaf = await x509.X509CertificateGenerator.create(
    {
      serialNumber: makeSerial(),
      subject: [{ CN: [names[0]!.slice(0, 64)] }],
      issuer: root.subjectName,
      notBefore: new Date(nowMs - dayMs),
      notAfter: new Date(nowMs + lifetimeDays * dayMs),
      publicKey: keys.publicKey,
      signingKey: await importKey(authority.key),
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns' as const, value }))),
        await x509.AuthorityKeyIdentifierExtension.create(root, false, webcrypto as unknown as Crypto),
        await x509.SubjectKeyIdentifierExtension.create(
          keys.publicKey,
          false,
          webcrypto as unknown as Crypto,
        ),
      ],
    },
    webcrypto as unknown as Crypto,
  );
  return { certificate: `${leaf.toString('pem')}\n`, key: await exportKey(keys.privateKey) };
}
