import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Ticket } from '../../../src/engine/executor';
import type { Batch } from '../../../src/training/batch-source';
import { Flight, MOST_UNREAD } from '../../../src/training/flight';

const pass = <T>(promise: Promise<T>): Promise<T> => promise;
const batchOf = (index: number): Batch => ({
  part: 'train',
  epoch: 0,
  index,
  features: new Float32Array(0),
  labels: new Int32Array(0),
  weights: new Float32Array(0),
  rows: new Uint32Array(0),
});

/** A device whose steps are done when the test says so. */
class Device {
  readonly read: number[] = [];
  readonly #landings = new Map<number, () => void>();
  readonly #done = new Map<number, Promise<void>>();

  ticket(step: number): Ticket {
    const done = new Promise<void>((resolve) => this.#landings.set(step, resolve));
    this.#done.set(step, done);
    return {
      done: () => done,
      read: async () => {
        this.read.push(step);
        await done;
        return new Map([['step_done', Float32Array.of(step)]]);
      },
    };
  }

  land(step: number): void {
    this.#landings.get(step)?.();
  }
}

afterEach(() => vi.restoreAllMocks());

describe('steps under way', () => {
  it('are two at most, and a batch is given back when its step is done', async () => {
    const device = new Device();
    const back: number[] = [];
    const flight = new Flight(pass, ({ index }) => back.push(index));
    const depart = (step: number) =>
      flight.depart({ step, ticket: device.ticket(step), batch: batchOf(step) });
    await depart(1);
    let gone = false;
    const second = depart(2).then(() => (gone = true));
    await Promise.resolve();
    expect([gone, back]).toEqual([false, []]);
    device.land(1);
    await second;
    expect(back).toEqual([1]);
    expect(device.read).toEqual([]);
  });

  it('are read together, a few times a second or when many wait, in their order', async () => {
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const device = new Device();
    const flight = new Flight(pass, () => undefined);
    const depart = async (step: number, lasts: number): Promise<void> => {
      now += lasts;
      const ticket = device.ticket(step);
      device.land(step);
      await flight.depart({ step, ticket, batch: batchOf(step) });
    };
    for (let step = 1; step <= 20; step++) await depart(step, 4);
    expect(flight.readingDue).toBe(false);
    for (let step = 21; step <= 26; step++) await depart(step, 4);
    expect(flight.readingDue).toBe(true);
    const first = await flight.read();
    expect(first.map(({ step }) => step)).toEqual(Array.from({ length: 25 }, (_, i) => i + 1));
    expect(flight.readingDue).toBe(false);
    // Fast steps: so many wait that the executor would soon give the oldest up.
    let step = 27;
    while (!flight.readingDue) await depart(step++, 0.1);
    const rest = await flight.read();
    expect(rest.length).toBeLessThan(MOST_UNREAD);
    expect(rest[0]?.step).toBe(26);
    await flight.landAll();
    expect((await flight.read()).map((arrival) => arrival.step)).toEqual([step - 1]);
    expect(device.read).toEqual(Array.from({ length: step - 1 }, (_, i) => i + 1));
  });

  it('are one at a time where a step takes long', async () => {
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const device = new Device();
    const flight = new Flight(pass, () => undefined);
    const ticket = (step: number): Ticket => device.ticket(step);
    await flight.depart({ step: 1, ticket: ticket(1), batch: batchOf(1) });
    device.land(1);
    now = 2000;
    await flight.depart({ step: 2, ticket: ticket(2), batch: batchOf(2) });
    device.land(2);
    const third = flight.depart({ step: 3, ticket: ticket(3), batch: batchOf(3) });
    let gone = false;
    void third.then(() => (gone = true));
    await new Promise((resolve) => setTimeout(resolve));
    expect(gone).toBe(false);
    device.land(3);
    await third;
  });

  it('do not wait for a device that is gone', async () => {
    const lost = Promise.reject(new Error('Gone.'));
    lost.catch(() => undefined);
    const device = new Device();
    const flight = new Flight(
      (promise) => Promise.race([promise, lost]),
      () => undefined,
    );
    await flight.depart({ step: 1, ticket: device.ticket(1), batch: batchOf(1) });
    const second = flight.depart({ step: 2, ticket: device.ticket(2), batch: batchOf(2) });
    await expect(second).rejects.toThrow('Gone.');
  });
});
