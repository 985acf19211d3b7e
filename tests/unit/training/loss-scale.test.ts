import { describe, expect, it } from 'vitest';
import { buildBlueprint } from '../../../src/blueprints/build';
import { PhiloxStream } from '../../../src/core/philox';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { FIRST_LOSS_SCALE, LOSS_SCALE } from '../../../src/training/loss-scale';
import { buildTrainingGraph } from '../../../src/training/training-graph';

const ROWS = 4;
const OPTIONS = {
  task: 'classification',
  loss: 'softmax-ce',
  optimiser: { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  withGradients: true,
} as const;
const FORWARD = buildBlueprint(
  { kind: 'mlp', hidden: [5], activation: 'relu', dropout: 0 },
  { featureDims: [3], outputs: 2, seed: 4 },
);

async function open(lossScale: number | undefined, accumulate = 1) {
  const executor = createReferenceExecutor();
  const graph = buildTrainingGraph(FORWARD, {
    ...OPTIONS,
    batchSize: ROWS / accumulate,
    accumulate,
    ...(lossScale === undefined ? {} : { lossScale }),
  });
  const state = await executor.createState(graph.stateSpecs);
  await state.write(graph.initialState);
  const train = await executor.compile(graph.graph, state, graph);
  const micro = graph.micro && (await executor.compile(graph.micro.graph, state, graph.micro));
  /** A step on rows of its own; in a broken one a row is not a number, as after an overflow. */
  const step = async (number: number, broken = false): Promise<Map<string, Float32Array>> => {
    const stream = new PhiloxStream(1, 'rows', number);
    const features = Float32Array.from({ length: ROWS * 3 }, () => stream.normal());
    if (broken) features[0] = NaN;
    const labels = Int32Array.from({ length: ROWS }, () => stream.below(2));
    const part = (index: number) => {
      const rows = ROWS / accumulate;
      return new Map<string, Float32Array | Int32Array>([
        ['features', features.slice(index * rows * 3, (index + 1) * rows * 3)],
        ['labels', labels.slice(index * rows, (index + 1) * rows)],
        ['sample_weight', new Float32Array(rows).fill(1)],
        ['micro_step', Float32Array.of(index)],
        ['learning_rate', Float32Array.of(0.01)],
        ['step', Float32Array.of(number)],
        ['clip_norm', Float32Array.of(0)],
      ]);
    };
    if (micro) for (let index = 0; index < accumulate; index++) micro.step(part(index));
    return train.step(part(0)).read();
  };
  return { state, step };
}

describe('the loss scale', () => {
  it.each([1, 2])('changes no digit of a step that fits, in %i micro-batches', async (parts) => {
    const plain = await open(undefined, parts);
    const scaled = await open(FIRST_LOSS_SCALE, parts);
    for (let number = 1; number <= 3; number++) {
      const [a, b] = [await plain.step(number), await scaled.step(number)];
      for (const [name, values] of a) expect(b.get(name), name).toEqual(values);
      expect(b.get(LOSS_SCALE.used)).toEqual(Float32Array.of(2 ** 16));
    }
  });

  it.each([1, 2])('is halved by a skipped step and no further, in %i parts', async (parts) => {
    const { state, step } = await open(8, parts);
    const weights = await state.read(['dense1.weight']);
    const scales: (number | undefined)[] = [];
    for (let number = 1; number <= 6; number++) {
      const result = await step(number, number !== 4);
      scales.push(result.get(LOSS_SCALE.used)?.[0]);
      expect(Number.isFinite(result.get('grad_norm')?.[0])).toBe(number === 4);
      expect(result.get('step_done')?.[0]).toBe(number);
      if (number < 4) expect(await state.read(['dense1.weight'])).toEqual(weights);
    }
    // Steps 1 to 3, 5 and 6 are skipped; step 4 is not. Below 1 it never goes.
    expect(scales).toEqual([8, 4, 2, 1, 1, 1]);
    expect(await state.read(['dense1.weight'])).not.toEqual(weights);
  });

  it('is doubled after 2000 good steps in a row, up to its bound', async () => {
    const { state, step } = await open(4);
    const put = (entry: Partial<Record<keyof typeof LOSS_SCALE, number>>): Promise<void> =>
      state.write(
        new Map(
          Object.entries(entry).map(([key, value]) => [
            LOSS_SCALE[key as keyof typeof LOSS_SCALE],
            Float32Array.of(value),
          ]),
        ),
      );
    const used = async (number: number, broken = false): Promise<number | undefined> =>
      (await step(number, broken)).get(LOSS_SCALE.used)?.[0];
    await put({ good: 1998 });
    expect([await used(1), await used(2), await used(3), await used(4)]).toEqual([4, 4, 8, 8]);
    expect((await state.read([LOSS_SCALE.good])).get(LOSS_SCALE.good)?.[0]).toBe(2);
    // A skipped step begins the count anew.
    await put({ good: 1999 });
    expect([await used(5, true), await used(6), await used(7)]).toEqual([8, 4, 4]);
    expect((await state.read([LOSS_SCALE.good])).get(LOSS_SCALE.good)?.[0]).toBe(2);
    await put({ entry: 2 ** 24, good: 2000 });
    expect(await used(8)).toBe(2 ** 24);
  });
});
