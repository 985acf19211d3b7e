/**
 * Two tabs on one store do what fast-check strings together, again and again, and each time the next write fails, in
 * one of four ways. After each: reopened, sound, everything acknowledged is there, and the collector takes nothing
 * of it. See crash-world.ts for what is remembered and crash-commands.ts for what is done.
 */
import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { rounds } from '../../support/rounds';
import { begin, commands } from './crash-commands';
import { World, snapshot } from './crash-world';
import { FaultyDisk, quietConsole } from './faulty-disk';
import type { Fault } from './faulty-disk';
import { deleteStore, freshName } from './fixtures';

beforeEach(quietConsole);

const FAULTS: readonly Fault[] = ['quota', 'abort', 'unknown', 'killed'];
const INTERLEAVINGS = rounds(80, 2500);
const LONGEST = 14;

type Sequence = Iterable<fc.AsyncCommand<World, World>>;

/** Returns how many writes the sequence made. */
async function crash(sequence: Sequence, failAt: number, fault: Fault): Promise<number> {
  const disk = new FaultyDisk(failAt, fault);
  const world = new World(freshName(), disk);
  const place = `${fault} at write ${failAt} of ${[...sequence].join(', ')}`;
  await begin(world);
  disk.armed = true;
  await fc.asyncModelRun(() => ({ model: world, real: world }), sequence);
  disk.armed = false;
  for (const tab of world.tabs) tab.close();

  const store = new World(world.name, new FaultyDisk(Infinity, fault)).newTab();
  await store.open();
  expect(await store.verify(), place).toEqual([]);
  expectFacts(world, await snapshot(store), place);
  await store.collectGarbage();
  expect(await store.verify(), place).toEqual([]);
  expectFacts(world, await snapshot(store), `${place}, collected`);
  store.close();
  await deleteStore(world.name);
  return disk.writes;
}

function expectFacts(world: World, found: ReadonlyMap<string, unknown>, place: string): void {
  for (const [fact, allowed] of world.facts) {
    const matches = allowed.some(
      (value) => JSON.stringify(value) === JSON.stringify(found.get(fact)),
    );
    if (!matches) expect(found.get(fact), `${fact}: ${place}`).toEqual(allowed.at(-1));
  }
}

test(
  `${INTERLEAVINGS} interleavings of two tabs and a fault at every write lose nothing that was acknowledged`,
  { timeout: rounds(240_000, 2_400_000) },
  async () => {
    let done = 0;
    let faults = 0;
    await fc.assert(
      fc.asyncProperty(commands(LONGEST), fc.nat(3), async (sequence, first) => {
        if (done >= INTERLEAVINGS) return;
        const writes = await crash(sequence, Infinity, 'killed');
        done += 1;
        for (let failAt = 1; failAt <= writes && done < INTERLEAVINGS; failAt++) {
          const fault = FAULTS[(failAt + first) % FAULTS.length] ?? 'killed';
          await crash(sequence, failAt, fault);
          done += 1;
          faults += 1;
        }
      }),
      { numRuns: INTERLEAVINGS, endOnFailure: true },
    );
    console.info(`${done} interleavings, ${faults} with a fault`);
    expect(done).toBe(INTERLEAVINGS);
    expect(faults).toBeGreaterThan(done * 0.8);
  },
);
