import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

/** TLS of the admin listener: names of PEM files. */
export interface AdminTlsFiles {
  readonly certificate: string;
  readonly key: string;
  /** Given: every client has to present a certificate of it, which then stands for the operator token. */
  readonly clientCa: string | null;
}

/** The same, read. */
export interface AdminTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly clientCa: Buffer | null;
}

/** Reads the files. Throws one clear line when one cannot be read or they do not fit together. */
export function readAdminTls(files: AdminTlsFiles): AdminTls {
  const read = (path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new Error(`gateway.admin.tls: cannot read ${path} (${(error as NodeJS.ErrnoException).code})`);
    }
  };
  const tls = {
    cert: read(files.certificate),
    key: read(files.key),
    clientCa: files.clientCa === null ? null : read(files.clientCa),
  };
  try {
    if (tls.clientCa !== null) void new X509Certificate(tls.clientCa);
    createSecureContext({ cert: tls.cert, key: tls.key, ...(tls.clientCa ? { ca: tls.clientCa } : {}) });
  } catch (error) {
    throw new Error(`gateway.admin.tls: ${(error as Error).message}`);
  }
  return tls;
}
