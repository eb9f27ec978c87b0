import { randomBytes } from 'node:crypto';

/** A payment as the API shows it. Amounts are in the smallest unit of the currency. */
export interface Payment {
  readonly id: string;
  readonly object: 'payment';
  readonly amount: number;
  readonly currency: string;
  readonly status: 'succeeded';
  readonly description: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly created_at: string;
  readonly livemode: false;
}

export interface FieldError {
  readonly pointer: string;
  readonly detail: string;
}

export type ParsedPayment =
  | { readonly ok: true; readonly value: Omit<Payment, 'id' | 'created_at'> }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

const members = ['amount', 'currency', 'description', 'metadata'];

/** Checks the body of a new payment and reports every error at once. */
export function parsePayment(body: unknown): ParsedPayment {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return { ok: false, errors: [{ pointer: '', detail: 'must be an object' }] };
  }
  const { amount, currency, description = null, metadata = {} } = body as Record<string, unknown>;
  const errors: FieldError[] = [];
  const refuse = (pointer: string, detail: string): void => {
    errors.push({ pointer, detail });
  };
  for (const name of Object.keys(body)) if (!members.includes(name)) refuse(`/${name}`, 'is not known');
  if (!Number.isSafeInteger(amount) || (amount as number) < 1)
    refuse('/amount', 'must be a positive integer');
  if (typeof currency !== 'string' || !/^[A-Za-z]{3}$/.test(currency)) {
    refuse('/currency', 'must be a currency code of three letters');
  }
  if (description !== null && (typeof description !== 'string' || description.length > 500)) {
    refuse('/description', 'must be a string of at most 500 characters');
  }
  if (!isMetadata(metadata)) refuse('/metadata', 'must be an object of at most 20 strings');
  if (errors.length > 0) return { ok: false, errors };
  return {
    ok: true,
    value: {
      object: 'payment',
      amount: amount as number,
      currency: (currency as string).toUpperCase(),
      status: 'succeeded',
      description: description as string | null,
      metadata: metadata as Record<string, string>,
      livemode: false,
    },
  };
}

function isMetadata(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const values = Object.values(value);
  return values.length <= 20 && values.every((entry) => typeof entry === 'string' && entry.length <= 500);
}

/** The payments of one sandbox, in memory; beyond `capacity` the oldest are forgotten. */
export class PaymentStore {
  readonly #byId = new Map<string, Payment>();
  readonly #capacity: number;
  readonly #now: () => number;

  constructor(capacity: number, now: () => number) {
    this.#capacity = capacity;
    this.#now = now;
  }

  create(value: Omit<Payment, 'id' | 'created_at'>): Payment {
    const id = `pay_${randomBytes(12).toString('hex')}`;
    const payment: Payment = { id, ...value, created_at: new Date(this.#now()).toISOString() };
    this.#byId.set(id, payment);
    if (this.#byId.size > this.#capacity) this.#byId.delete(this.#byId.keys().next().value!);
    return payment;
  }

  find(id: string): Payment | undefined {
    return this.#byId.get(id);
  }

  /** Newest first. */
  list(limit: number): Payment[] {
    return [...this.#byId.values()].slice(-limit).reverse();
  }
}
