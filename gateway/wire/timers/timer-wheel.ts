/** Who is called when a deadline passes. */
export interface Timed {
  onDeadline(timer: Timer): void;
}

const never = Number.MAX_SAFE_INTEGER;

/** One deadline of an owner; it can be set again and again without cost. Made by `TimerWheel.timer`. */
export class Timer {
  readonly owner: Timed;
  /** The tick at which it fires. */
  due = never;
  /** The tick at which the wheel looks at it; never later than `due`. -1: not on the wheel. */
  at = -1;
  next: Timer | null = null;
  previous: Timer | null = null;

  constructor(owner: Timed) {
    this.owner = owner;
  }

  get armed(): boolean {
    return this.due !== never;
  }
}

/**
 * Coarse deadlines for very many owners on one interval timer. Putting a deadline off is one store: the wheel moves a
 * timer only when it comes past it. Deadlines fire up to two ticks late, never early.
 */
export class TimerWheel {
  readonly tickMs: number;
  readonly #slots: (Timer | null)[];
  readonly #mask: number;
  readonly #now: () => number;
  #startedAt: number;
  #interval: NodeJS.Timeout | null = null;
  /** Ticks since the wheel was made. */
  tick = 0;
  /** The rest of the slot that is being looked at while an owner is called. */
  #carry: Timer | null = null;

  /** `now` in milliseconds, never going back. */
  constructor(tickMs = 100, now: () => number = () => performance.now(), slots = 1024) {
    this.tickMs = tickMs;
    this.#now = now;
    this.#startedAt = now();
    this.#slots = new Array<Timer | null>(slots).fill(null);
    this.#mask = slots - 1;
  }

  /** Turns the wheel by itself; the interval does not keep the process alive. */
  start(): void {
    this.#interval ??= setInterval(() => this.advance(), this.tickMs).unref();
  }

  stop(): void {
    if (this.#interval !== null) clearInterval(this.#interval);
    this.#interval = null;
  }

  timer(owner: Timed): Timer {
    return new Timer(owner);
  }

  arm(timer: Timer, delayMs: number): void {
    const due = this.tick + Math.ceil(delayMs / this.tickMs) + 1;
    timer.due = due;
    if (timer.at >= 0) {
      if (timer.at <= due) return;
      this.#unlink(timer);
    }
    this.#link(timer);
  }

  disarm(timer: Timer): void {
    timer.due = never;
  }

  /** Takes a timer off the wheel; for owners that are gone. */
  remove(timer: Timer): void {
    timer.due = never;
    if (timer.at >= 0) this.#unlink(timer);
  }

  /** Fires what is due by now. */
  advance(): void {
    const target = Math.floor((this.#now() - this.#startedAt) / this.tickMs);
    while (this.tick < target) {
      this.tick++;
      this.#turn();
    }
  }

  #turn(): void {
    const slot = this.tick & this.#mask;
    let timer: Timer | null = this.#slots[slot]!;
    this.#slots[slot] = null;
    while (timer !== null) {
      const next: Timer | null = timer.next;
      timer.at = -1;
      timer.next = null;
      timer.previous = null;
      if (next !== null) next.previous = null;
      if (timer.due <= this.tick) {
        timer.due = never;
        // What fires may remove `next`; it is then no longer linked behind anything and is met in its new place.
        this.#carry = next;
        timer.owner.onDeadline(timer);
        timer = this.#carry;
        this.#carry = null;
      } else {
        if (timer.due !== never) this.#link(timer);
        timer = next;
      }
    }
  }

  #link(timer: Timer): void {
    const ahead = Math.min(timer.due - this.tick, this.#mask);
    const at = this.tick + Math.max(ahead, 1);
    const slot = at & this.#mask;
    const head = this.#slots[slot]!;
    timer.at = at;
    timer.previous = null;
    timer.next = head;
    if (head !== null) head.previous = timer;
    this.#slots[slot] = timer;
  }

  #unlink(timer: Timer): void {
    const { next, previous } = timer;
    if (next !== null) next.previous = previous;
    if (previous !== null) previous.next = next;
    else if (timer === this.#carry) this.#carry = next;
    else this.#slots[timer.at & this.#mask] = next;
    timer.at = -1;
    timer.next = null;
    timer.previous = null;
  }
}
