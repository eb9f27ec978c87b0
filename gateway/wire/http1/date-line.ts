import type { TimerWheel } from '../timers/timer-wheel.ts';

/** The Date line, made anew when the wheel has turned (RFC 9110 section 6.6.1). */
export class DateLine {
  readonly #wheel: TimerWheel;
  #tick = -1;
  #line = '';

  constructor(wheel: TimerWheel) {
    this.#wheel = wheel;
  }

  get(): string {
    if (this.#tick !== this.#wheel.tick) {
      this.#tick = this.#wheel.tick;
      this.#line = `Date: ${new Date().toUTCString()}\r\n`;
    }
    return this.#line;
  }
}
