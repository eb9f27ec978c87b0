/** Wraps data keys. Where the wrapping key lives (a file, a vault, an HSM) is the provider's matter. */
export interface KeyProvider {
  /** Written into the `provider` of data keys. */
  readonly name: string;
  wrap(dataKeyId: string, dataKey: Uint8Array): Promise<string>;
  /** Rejects when the provider is away or the wrapped key is not its own. */
  unwrap(dataKeyId: string, wrapped: string): Promise<Buffer>;
}

export class ProviderError extends Error {}
