/** Places of values in the arena: nothing that is alive is overwritten, and little room is lost. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUDGET_MODELS, trainingOf } from '../../../../bench/models';
import { planStep } from '../../../../src/engine/plan/compile';
import type { Fused } from '../../../../src/engine/plan/fuse';
import { KernelList } from '../../../../src/engine/plan/kernels';
import { expandForPlan } from '../../../../src/engine/plan/lowerings';
import { planMemory } from '../../../../src/engine/plan/memory';
import { fuse } from '../../../../src/engine/plan/fuse';
import { USUAL_TRAITS } from '../../../../src/engine/plan/estimate';
import { StateLayout } from '../../../../src/engine/plan/state-layout';
import type { PlannedMemory } from '../../../../src/engine/plan/step-plan';

/** The most that is alive at once: no plan can do with less. */
function leastBytes(memory: readonly PlannedMemory[]): number {
  const last = Math.max(...memory.map(({ to }) => to));
  let most = 0;
  for (let at = 0; at <= last; at++) {
    const alive = memory.filter(({ from, to }) => from <= at && at <= to);
    most = Math.max(
      most,
      alive.reduce((sum, { bytes }) => sum + bytes, 0),
    );
  }
  return most;
}

describe.each(['mlp', 'cnn', 'gpt'] as const)('%s', (name) => {
  it.each([
    ['float32', true],
    ['float32', false],
    ['float16', false],
  ] as const)('never lays %s values over living ones (software: %s)', (precision, software) => {
    const training = trainingOf(BUDGET_MODELS[name]);
    const traits = { ...USUAL_TRAITS, software };
    const { memory, arenaBytes } = planStep({
      graph: expandForPlan(training.graph, traits),
      state: new StateLayout(training.stateSpecs),
      options: { ...training, precision },
      traits,
      bindingBytes: Infinity,
    });
    const sorted = memory.filter(({ bytes }) => bytes > 0);
    for (const [index, one] of sorted.entries()) {
      const start = one.offset ?? -1;
      expect(start % 128, one.name).toBe(0);
      expect(start + one.bytes).toBeLessThanOrEqual(arenaBytes);
      for (const other of sorted.slice(index + 1)) {
        const from = other.offset ?? -1;
        const apart = start + one.bytes <= from || from + other.bytes <= start;
        // A result on the place of an input that dies with it begins where that one ends.
        const [first, second] = one.from <= other.from ? [one, other] : [other, one];
        const heir = first.to <= second.from && start === from && one.bytes === other.bytes;
        const later = first.to < second.from;
        if (!apart && !heir && !later) {
          expect.fail(`${one.name || index} and ${other.name} lie on each other`);
        }
      }
    }
    // What is alive at a moment, and a tenth for gaps and the padding of small values.
    expect(arenaBytes).toBeLessThan(leastBytes(memory) * 1.1 + 256 * memory.length);
  });
});

it('keeps random chains of values apart', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 2, maxLength: 30 });
  fc.assert(
    fc.property(sizes, fc.infiniteStream(fc.nat(1000)), (lengths, picks) => {
      const list = new KernelList(USUAL_TRAITS);
      const made = lengths.map((size, at) => {
        const inputs = Array.from({ length: Math.min(at, 2) }, () => {
          const pick = picks.next().value ?? 0;
          return madeBefore(at, pick);
        });
        const [output] = list.kernel({
          label: `${at}`,
          inputs,
          outputs: [{ dtype: 'float32', dims: [size] }],
          body:
            inputs.map((_, slot) => `let v${slot} = x${slot}(0);`).join('\n') + 'y0(index, 0.0);',
        });
        tensors.push(output);
        return output?.value ?? -1;
      });
      const last = made.at(-1) ?? -1;
      const wanted = new Set([last]);
      const fused: Fused = fuse(list.kernels, list.values, wanted);
      const { places, lifetimes } = planMemory(fused, wanted, new Set(), 2 ** 30);
      for (const [index, one] of lifetimes.entries()) {
        for (const other of lifetimes.slice(index + 1)) {
          if (one.to < other.from || other.to < one.from) continue;
          const [a, b] = [places.get(one.value), places.get(other.value)];
          const [m, n] = [one.value, other.value].map((value) => list.values[value]?.size ?? 0);
          if (!a || !b || m === undefined || n === undefined) expect.fail('A value has no place.');
          expect(a.offset + m <= b.offset || b.offset + n <= a.offset).toBe(true);
        }
      }
      tensors.length = 0;
    }),
    { numRuns: 60, seed: 4 },
  );
});

const tensors: (ReturnType<KernelList['kernel']>[number] | undefined)[] = [];

function madeBefore(count: number, pick: number): ReturnType<KernelList['kernel']>[number] {
  const found = tensors[pick % count];
  if (!found) throw new Error('Nothing was made before.');
  return found;
}
