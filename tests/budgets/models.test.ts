/** The frozen models are what their titles say, and really learn. */
import { describe, expect, it } from 'vitest';
import {
  BENCH_MODELS,
  BUDGET_MODELS,
  batchOf,
  feedsOf,
  forwardOf,
  rowsOf,
  trainingOf,
} from '../../bench/models';
import type { Model } from '../../bench/models';
import { sizeOf } from '../../src/core/dtype';
import { createReferenceExecutor } from '../../src/engine/reference/executor';
import type { TrainingGraph } from '../../src/training/training-graph';
import { runOnnxRuntime } from '../support/onnxruntime';

/** Millions of random weights are drawn once. */
const built = new Map<Model, TrainingGraph>();
function graphOf(model: Model): TrainingGraph {
  const known = built.get(model) ?? trainingOf(model);
  built.set(model, known);
  return known;
}

const weightsIn = (model: Model) => {
  const { weights, stateSpecs } = graphOf(model);
  return stateSpecs
    .filter(({ name }) => weights.includes(name))
    .reduce((sum, { dims }) => sum + sizeOf(dims), 0);
};

/** The same forward graph, attention included, on the standard's own runtime. */
async function lossOfOnnxRuntime(model: Model): Promise<number> {
  const forward = forwardOf(model);
  const { features, labels } = batchOf(model);
  const [input] = forward.inputs;
  if (!input) throw new Error('The graph has no input.');
  const results = await runOnnxRuntime(
    forward,
    new Map([[input.name, { dtype: input.dtype, dims: input.dims.map(Number), data: features }]]),
  );
  const { dims, data } = results.get('logits') ?? { dims: [], data: [] };
  const [rows = 0, classes = 0] = dims;
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    const logits = data.slice(row * classes, (row + 1) * classes);
    const total = logits.reduce((all, logit) => all + Math.exp(logit), 0);
    sum += Math.log(total) - (logits[labels[row] ?? 0] ?? NaN);
  }
  return sum / rows;
}

describe('the frozen models', () => {
  it('have the weights that arithmetic gives them', () => {
    const linear = (into: number, out: number) => into * out + out;
    const conv = (into: number, out: number) => 9 * into * out + 2 * out;
    expect(weightsIn(BUDGET_MODELS.mlp)).toBe(linear(784, 128) + linear(128, 10));
    expect(weightsIn(BUDGET_MODELS.cnn)).toBe(
      conv(3, 32) + conv(32, 64) + conv(64, 128) + linear(128 * 16, 10),
    );
    const block = (d: number) =>
      4 * d + linear(d, 3 * d) + linear(d, d) + linear(d, 4 * d) + linear(4 * d, d);
    expect(weightsIn(BUDGET_MODELS.gpt)).toBe(
      2 * 4096 * 256 + 128 * 256 + 4 * block(256) + 2 * 256,
    );
    expect(weightsIn(BENCH_MODELS.mlp)).toBe(linear(784, 256) + linear(256, 128) + linear(128, 10));
    expect(weightsIn(BENCH_MODELS.gpt)).toBe(2 * 256 * 64 + 64 * 64 + 2 * block(64) + 2 * 64);
  });

  it('are fed what their graphs ask for', () => {
    for (const model of [...Object.values(BUDGET_MODELS), ...Object.values(BENCH_MODELS)]) {
      const { graph, stateSpecs } = graphOf(model);
      const held = new Set(stateSpecs.map(({ name }) => name));
      const feeds = feedsOf(model, 1, batchOf(model));
      const asked = graph.inputs.filter(({ name }) => !held.has(name));
      expect(asked.map(({ name }) => name).sort()).toEqual([...feeds.keys()].sort());
      for (const { name, dims } of asked) {
        expect(feeds.get(name)?.length).toBe(sizeOf(dims.map(Number)));
      }
    }
  });

  it('gives a language model the next token of each token as its label', () => {
    const { features, labels } = batchOf(BENCH_MODELS.gpt, 3);
    for (let row = 0; row < labels.length; row++) {
      if (row % 64 !== 63) expect(labels[row]).toBe(features[row + 1]);
    }
    expect(rowsOf(BENCH_MODELS.gpt)).toBe(labels.length);
    expect(batchOf(BENCH_MODELS.gpt, 4).labels).not.toEqual(labels);
  });

  it('learn one batch by heart, beginning at chance', async () => {
    const tiny: Model = {
      ...(BENCH_MODELS.gpt as Extract<Model, { kind: 'gpt' }>),
      batch: 2,
      width: 16,
      heads: 2,
      context: 6,
      vocabulary: 12,
      learningRate: 0.02,
    };
    const executor = createReferenceExecutor();
    const { graph, stateSpecs, initialState, updates, outputs } = trainingOf(tiny);
    const state = await executor.createState(stateSpecs);
    await state.write(initialState);
    const program = await executor.compile(graph, state, { updates, outputs });
    const losses: number[] = [];
    for (let step = 1; step <= 20; step++) {
      const result = await program.step(feedsOf(tiny, step, batchOf(tiny))).read();
      const numerator = result.get('loss_numerator')?.[0] ?? NaN;
      losses.push(numerator / (result.get('loss_denominator')?.[0] ?? NaN));
    }
    const first = losses[0] ?? NaN;
    expect(Math.abs(first - Math.log(12))).toBeLessThan(0.2);
    expect(losses.at(-1)).toBeLessThan(1);
    expect(first).toBeCloseTo(await lossOfOnnxRuntime(tiny), 5);
  });
});
