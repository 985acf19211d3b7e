import { describe, expect, it } from 'vitest';
import { memoryTimeline } from '../../../src/profiling/memory';
import { median, mergeSteps, typical } from '../../../src/profiling/merge';
import { byNode, byOperator, costOfNodes, shareOfModel, totals } from '../../../src/profiling/sums';
import { KERNELS, PROFILE, STEP } from '../../support/profiles';

const scaled = (factor: number, change: Partial<typeof STEP> = {}): typeof STEP => ({
  ...STEP,
  stepMicros: STEP.stepMicros * factor,
  kernels: KERNELS.map((kernel) => ({ ...kernel, micros: kernel.micros * factor })),
  ...change,
});

describe('merging steps', () => {
  it('takes the median of each kernel by itself', () => {
    const odd = {
      ...STEP,
      kernels: KERNELS.map((kernel, index) => ({ ...kernel, micros: index === 1 ? 9 : 5000 })),
    };
    const merged = mergeSteps([scaled(1), scaled(3), odd, scaled(2), scaled(2)]);
    expect(merged.kernels.map(({ micros }) => micros)).toEqual([600, 200, 40, 400, 760, 0]);
    expect(merged.stepMicros).toBe(4000);
    expect(merged.counts).toEqual(STEP.counts);
  });

  it('finds times shorter than the tick of the clock by their mean', () => {
    const tick = 100;
    /** A kernel of 20 µs, one of 250 µs and one of 5 ms, as a clock shows them that ticks every 100 µs. */
    const shown = Array.from({ length: 10 }, (_, at) => {
      const begin = at * 37;
      return [20, 250, 5000].map(
        (time) => (Math.floor((begin + time) / tick) - Math.floor(begin / tick)) * tick,
      );
    });
    const kernels = KERNELS.slice(0, 3);
    const steps = shown.map((times) => ({
      ...STEP,
      kernels: kernels.map((kernel, index) => ({ ...kernel, micros: times[index] ?? 0 })),
    }));
    const merged = mergeSteps(steps).kernels.map(({ micros }) => micros);
    expect(Math.abs((merged[0] ?? 0) - 20)).toBeLessThanOrEqual(10);
    expect(Math.abs((merged[1] ?? 0) - 250)).toBeLessThanOrEqual(25);
    expect(merged[2]).toBe(5000);
  });

  it('leaves out what was held up by something else', () => {
    expect(typical([0, 5, 0, 5, 0, 900, 0, 0, 5, 0], 5)).toBeCloseTo(15 / 9, 12);
    expect(typical([40, 41, 9000, 39, 40], 1)).toBe(40);
    expect(typical([0, 0, 0], Infinity)).toBe(0);
  });

  it('leaves out steps of another plan, and refuses none', () => {
    const other = scaled(100, { planId: 'plan-0' });
    expect(mergeSteps([other, other, scaled(1)])).toEqual(STEP);
    expect(() => mergeSteps([])).toThrow(/No step was profiled/);
  });

  it.each([
    [[], 0],
    [[4], 4],
    [[4, 1], 1],
    [[10, 2, 9], 9],
  ])('has the median of %j at %d', (values, expected) => {
    expect(median(values)).toBe(expected);
  });
});

describe('sums of a step', () => {
  it('come to the time of all kernels', () => {
    expect(totals(STEP)).toEqual({
      stepMicros: 2000,
      kernelMicros: 1000,
      busy: 0.5,
      bytes: 26_500,
      phases: { forward: 420, backward: 580, update: 0 },
    });
    for (const sums of [byOperator(STEP), byNode(STEP)]) {
      expect(sums.reduce((total, { micros }) => total + micros, 0)).toBe(1000);
      expect(sums.reduce((total, { share }) => total + share, 0)).toBeCloseTo(1, 12);
      expect(sums.reduce((total, { bytes }) => total + bytes, 0)).toBe(26_500);
      expect(sums.reduce((total, { dispatches }) => total + dispatches, 0)).toBe(6);
    }
  });

  it('by operator put kernels of the same work together, the longest first', () => {
    expect(byOperator(STEP).map(({ key, micros }) => [key, micros])).toEqual([
      ['Gemm + Mul', 380],
      ['Gemm + Relu', 300],
      ['Gemm', 300],
      ['SoftmaxCrossEntropy', 20],
      ['AdamW', 0],
    ]);
    const gemm = byOperator(STEP).find(({ key }) => key === 'Gemm');
    expect(gemm).toMatchObject({
      share: 0.3,
      bytes: 4000,
      dispatches: 2,
      phases: { forward: 100, backward: 200, update: 0 },
    });
    // 4,000 bytes in 300 µs are 13.3 MB/s.
    expect(gemm?.gigabytesPerSecond).toBeCloseTo(4000 / 300e-6 / 1e9, 12);
  });

  it('give no rate where the clock saw no time', () => {
    expect(byOperator(STEP).at(-1)).toMatchObject({
      key: 'AdamW',
      gigabytesPerSecond: null,
      share: 0,
    });
    const still = scaled(0);
    expect(totals(still)).toMatchObject({ kernelMicros: 0, busy: 0 });
    expect(byNode(still).every(({ share }) => share === 0)).toBe(true);
  });

  it('by node join forward and backward, and keep fused nodes together', () => {
    expect(byNode(STEP).map(({ nodes, micros }) => [nodes, micros])).toEqual([
      [['dense1.gemm', 'dense1.relu'], 680],
      [['output.gemm'], 300],
      [['SoftmaxCrossEntropy_0'], 20],
      [['AdamW_0'], 0],
    ]);
  });

  it('of one phase keep their share of the whole', () => {
    expect(byNode(STEP, 'backward').map(({ key, share }) => [key, share])).toEqual([
      ['dense1.gemm, dense1.relu', 0.38],
      ['output.gemm', 0.2],
    ]);
    expect(byOperator(STEP, 'update').map(({ key }) => key)).toEqual(['AdamW']);
  });

  it('never say that the device was busier than the step was long', () => {
    expect(totals({ ...STEP, stepMicros: 500 }).busy).toBe(1);
  });
});

describe('cost of the model’s nodes', () => {
  it('is that of all kernels that work for them, with whom they share', () => {
    const costs = costOfNodes(STEP, PROFILE.modelNodes);
    expect([...costs.keys()]).toEqual(PROFILE.modelNodes);
    expect(costs.get('dense1.relu')).toMatchObject({
      micros: 680,
      share: 0.68,
      bytes: 8000,
      dispatches: 2,
      sharedWith: ['dense1.gemm'],
    });
    expect(costs.get('output.gemm')).toMatchObject({ micros: 300, sharedWith: [] });
  });

  it('leaves loss and update out', () => {
    expect(shareOfModel(STEP, PROFILE.modelNodes)).toBe(0.98);
    expect(shareOfModel(scaled(0), PROFILE.modelNodes)).toBe(0);
  });

  it('knows nothing of nodes that no kernel works for', () => {
    expect(costOfNodes(STEP, ['flatten']).size).toBe(0);
  });
});

describe('memory of a step', () => {
  it('adds up what is alive at each kernel, by a count of its own', () => {
    const { total, kinds, peak } = memoryTimeline(STEP);
    const counted = KERNELS.map((_, at) =>
      STEP.memory.reduce(
        (sum, { from, to, bytes }) => (from <= at && at <= to ? sum + bytes : sum),
        0,
      ),
    );
    expect(total).toEqual(counted);
    expect(kinds.activation).toEqual([1000, 1500, 2000, 1500, 1500, 0]);
    expect(kinds.constant).toEqual([0, 0, 0, 0, 0, 0]);
    expect(peak).toEqual({ kernel: 4, bytes: 9000 });
  });

  it('names the largest at the peak and nothing that is gone by then', () => {
    const { largest } = memoryTimeline(STEP);
    expect(largest.map(({ name }) => name)).toEqual([
      'dense1.weight',
      'dense1.weight/grad',
      'dense1_out',
      'output.weight/grad',
      'features',
      'logits_grad',
    ]);
  });

  it('bears a step without kernels and buffers that end outside of it', () => {
    expect(memoryTimeline({ ...STEP, kernels: [] }).peak).toEqual({ kernel: 0, bytes: 0 });
    const open = {
      ...STEP,
      memory: STEP.memory.slice(0, 1).map((one) => ({ ...one, from: -3, to: 99 })),
    };
    expect(memoryTimeline(open).total).toEqual([4000, 4000, 4000, 4000, 4000, 4000]);
  });
});
