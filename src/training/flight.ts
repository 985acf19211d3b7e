/**
 * Steps under way. At most two are on the device, so that it never waits for the host and a person never waits for a
 * queue; what they computed is read a few times a second, all together, because reading costs more than a small
 * step. No figure is lost: each step's comes in its turn.
 */
import type { Ticket } from '../engine/executor';
import type { Batch } from './batch-source';

/** Figures are read about so often. */
const READ_MS = 100;
/** Steps whose figures may wait; executors keep that many results. */
export const MOST_UNREAD = 64;
/** Steps of this length leave no gap worth closing: one at a time, so that stopping waits for no second one. */
const LONG_STEP_MS = 250;

export interface Departure {
  readonly step: number;
  readonly ticket: Ticket;
  readonly batch: Batch;
}

export interface Arrival {
  readonly step: number;
  readonly result: ReadonlyMap<string, Float32Array>;
}

export class Flight {
  readonly #guard: <T>(promise: Promise<T>) => Promise<T>;
  readonly #release: (batch: Batch) => void;
  readonly #inFlight: Departure[] = [];
  readonly #unread: Departure[] = [];
  #lastRead = performance.now();
  #lastLanding = performance.now();
  #stepMs = 0;

  /** `guard` rejects what would never settle on a lost device; `release` gives a batch back once its step is done. */
  constructor(guard: <T>(promise: Promise<T>) => Promise<T>, release: (batch: Batch) => void) {
    this.#guard = guard;
    this.#release = release;
  }

  /** Resolves when another step may depart. */
  async depart(departure: Departure): Promise<void> {
    this.#inFlight.push(departure);
    const most = this.#stepMs > LONG_STEP_MS ? 0 : 1;
    while (this.#inFlight.length > most) await this.#landOldest();
  }

  get readingDue(): boolean {
    if (this.#unread.length === 0) return false;
    return this.#unread.length >= MOST_UNREAD - 2 || performance.now() - this.#lastRead >= READ_MS;
  }

  async landAll(): Promise<void> {
    while (this.#inFlight.length > 0) await this.#landOldest();
  }

  /** What the steps computed that are done and have not been read, in their order. */
  async read(): Promise<readonly Arrival[]> {
    const landed = this.#unread.splice(0);
    const results = await this.#guard(Promise.all(landed.map(({ ticket }) => ticket.read())));
    this.#lastRead = performance.now();
    return landed.flatMap(({ step }, index) => {
      const result = results[index];
      return result ? [{ step, result }] : [];
    });
  }

  async #landOldest(): Promise<void> {
    const oldest = this.#inFlight.shift();
    if (oldest === undefined) return;
    const { ticket, batch } = oldest;
    await this.#guard<unknown>(ticket.done ? ticket.done() : ticket.read());
    const now = performance.now();
    this.#stepMs = now - this.#lastLanding;
    this.#lastLanding = now;
    this.#release(batch);
    this.#unread.push(oldest);
  }
}
