import { createSecureContext, type SecureContext, type TlsOptions } from 'node:tls';
import type { OpenedCertificate } from '../registry/worker-registry.ts';

/**
 * The certificates of the registry, chosen by the server name that a client asks for: an exact name first, then the
 * wildcard of its parent, which stands for one label (RFC 9525, section 6.3).
 */
export class Certificates {
  #byName = new Map<string, SecureContext>();

  /** Puts these in force for handshakes from now on. One that is not usable is left out and reported. */
  set(certificates: readonly OpenedCertificate[], onUnusable: (id: string, error: Error) => void): void {
    const byName = new Map<string, SecureContext>();
    for (const { id, names, chain, key } of certificates) {
      try {
        const context = createSecureContext({ cert: chain, key });
        for (const name of names) byName.set(name.toLowerCase(), context);
      } catch (error) {
        onUnusable(id, error as Error);
      }
    }
    this.#byName = byName;
  }

  find(serverName: string): SecureContext | undefined {
    const name = serverName.toLowerCase();
    const exact = this.#byName.get(name);
    if (exact) return exact;
    const dot = name.indexOf('.');
    return dot < 0 ? undefined : this.#byName.get(`*${name.slice(dot)}`);
  }

  /** For a TLS server; without a match its own certificate is used, and without one the handshake fails. */
  readonly select: NonNullable<TlsOptions['SNICallback']> = (serverName, done) => {
    done(null, this.find(serverName));
  };
}
