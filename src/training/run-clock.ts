/**
 * How long a run has worked. A computer that sleeps, a tab that is frozen and a debugger that holds it make a gap in
 * which nothing was computed; time is therefore counted between looks, and a gap far longer than steps take counts
 * as no more than they do. It never asks for the time of day, which may jump.
 */

/** A timer looks this often while a device works and nothing else does. */
const TICK_MS = 1000;
/** No gap below this is suspicious. */
const SHORT_MS = 3000;
/** A gap of so many steps is. */
const STEPS = 4;
/** Steps that are remembered to know how long they take; with fewer than the first figure all time counts. */
const FEWEST = 3;
const REMEMBERED = 9;

export class RunClock {
  readonly #now: () => number;
  #counted: number;
  #last: number | null = null;
  #steps: number[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(seconds = 0, now: () => number = () => performance.now()) {
    this.#counted = seconds * 1000;
    this.#now = now;
  }

  get seconds(): number {
    this.look();
    return this.#counted / 1000;
  }

  start(): void {
    this.#last ??= this.#now();
    this.#timer ??= setInterval(() => this.look(), TICK_MS);
  }

  stop(): void {
    this.look();
    this.#last = null;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Says how much there was before the first start. */
  begin(seconds: number): void {
    this.#counted = seconds * 1000;
  }

  /** A step took so long from its beginning to its end. */
  stepTook(milliseconds: number): void {
    this.#steps = [...this.#steps, milliseconds].slice(-REMEMBERED);
    this.look();
  }

  look(): void {
    if (this.#last === null) return;
    const now = this.#now();
    this.#counted += Math.min(now - this.#last, this.#most());
    this.#last = now;
  }

  /** What may have gone by since the last look, if work was done in it. */
  #most(): number {
    if (this.#steps.length < FEWEST) return Infinity;
    const sorted = this.#steps.toSorted((a, b) => a - b);
    return Math.max(SHORT_MS, STEPS * (sorted[sorted.length >> 1] ?? 0));
  }
}
