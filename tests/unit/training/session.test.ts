import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { compileRecipe } from '../../../src/data/recipe/compile';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { writeModel } from '../../../src/onnx/writer';
import type { Executor } from '../../../src/engine/executor';
import type { FittedRecipe, RunConfig } from '../../../src/protocol/entities';
import { assembleModel } from '../../../src/training/assemble';
import { forwardGraph } from '../../../src/training/run-graphs';
import { BLOB_CONFIG, BLOB_RECIPE, BLOB_TRAINING, blobs } from '../../support/blobs';
import { trainBlobs } from '../../support/run-loop';

describe('a run on the reference executor', () => {
  it('learns, and repeats bit for bit', async () => {
    const first = await trainBlobs(createReferenceExecutor());
    const second = await trainBlobs(createReferenceExecutor());
    expect(first.summary.best.metric).toBeGreaterThan(0.9);
    expect(second.summary.state).toEqual(first.summary.state);
    expect(second.summary.loop.curve).toEqual(first.summary.loop.curve);
  });

  it('resumes in the middle of an epoch bit-equal to a run that was never interrupted', async () => {
    const { summary, checkpoints } = await trainBlobs(createReferenceExecutor());
    const checkpoint = checkpoints.find(({ step }) => step === 27);
    expect(checkpoint?.best).not.toBeNull();
    const resumed = await trainBlobs(createReferenceExecutor(), BLOB_CONFIG, checkpoint ?? null);
    expect(resumed.summary.state).toEqual(summary.state);
    expect(resumed.summary.loop.curve).toEqual(summary.loop.curve);
    expect(resumed.summary.best).toEqual(summary.best);
  });
});

const parted = (accumulate: number) => ({
  ...BLOB_CONFIG,
  training: { ...BLOB_TRAINING, accumulate },
});

describe('a run whose batches come in parts', () => {
  it('learns what it learns from whole batches', async () => {
    const whole = await trainBlobs(createReferenceExecutor());
    const { summary } = await trainBlobs(createReferenceExecutor(), parted(4));
    expect(summary.best.correct).toBe(whole.summary.best.correct);
    whole.summary.loop.curve.forEach((point, i) => {
      const own = summary.loop.curve[i];
      expect(own).toMatchObject({ step: point.step, series: point.series });
      expect(Math.abs((own?.loss ?? NaN) - point.loss)).toBeLessThan(1e-4);
    });
    // Nothing of a step is left over for the next one to be kept.
    expect([...summary.state.keys()]).toEqual([...whole.summary.state.keys()]);
  });

  it('resumes bit-equal to one that was never interrupted', async () => {
    const { summary, checkpoints } = await trainBlobs(createReferenceExecutor(), parted(2));
    const checkpoint = checkpoints.find(({ step }) => step === 23);
    expect([...(checkpoint?.state.keys() ?? [])].some((name) => name.endsWith('/sum'))).toBe(false);
    const resumed = await trainBlobs(createReferenceExecutor(), parted(2), checkpoint ?? null);
    expect(resumed.summary.state).toEqual(summary.state);
    expect(resumed.summary.loop.curve).toEqual(summary.loop.curve);
  });

  it('is refused where they are not equal, with what would do', async () => {
    await expect(trainBlobs(createReferenceExecutor(), parted(3))).rejects.toMatchObject({
      code: 'training/accumulate',
      message: expect.stringContaining('2, 4, 8, 16 parts') as string,
    });
  });
});

/** The reference executor as one that has float16: its arithmetic is the same, and only the loss scale is added. */
function scaling(): Executor {
  return { ...createReferenceExecutor(), precisions: ['float32', 'float16'] };
}
const HALF = {
  ...BLOB_CONFIG,
  training: { ...BLOB_TRAINING, precision: 'float16', accumulate: 2 },
} as const;

describe('a run in float16', () => {
  it('keeps its loss scale, also through a checkpoint', async () => {
    const { summary, checkpoints } = await trainBlobs(scaling(), HALF);
    expect(summary.loop.skipped).toEqual({ count: 0, steps: [], lossScale: 2 ** 16 });
    const checkpoint = checkpoints.find(({ step }) => step === 23);
    expect(checkpoint?.state.get('loss_scale/good')).toEqual(Float32Array.of(23));
    const resumed = await trainBlobs(scaling(), HALF, checkpoint ?? null);
    expect(resumed.summary.state).toEqual(summary.state);
    expect(resumed.summary.loop).toMatchObject({
      curve: summary.loop.curve,
      skipped: summary.loop.skipped,
    });
  });

  it('is one in float32 where the executor has nothing else', async () => {
    const { summary } = await trainBlobs(createReferenceExecutor(), HALF);
    expect(summary.loop.skipped).toBeUndefined();
    expect([...summary.state.keys()]).not.toContain('loss_scale');
  });
});

const blueprint = { kind: 'mlp', hidden: [8], activation: 'tanh', dropout: 0.1 } as const;
const MODELS: [
  string,
  FittedRecipe,
  Pick<RunConfig, 'task' | 'blueprint' | 'training' | 'seed'>,
][] = [
  ['classes', BLOB_RECIPE, { ...BLOB_CONFIG, blueprint }],
  [
    'two classes with one logit',
    {
      ...BLOB_RECIPE,
      target: { task: 'classification', column: 'cloud', classes: ['no', 'yes'] },
    },
    { ...BLOB_CONFIG, blueprint, training: { ...BLOB_TRAINING, loss: 'bce' } },
  ],
  [
    'a number',
    { ...BLOB_RECIPE, target: { task: 'regression', column: 'dose', mean: 40, scale: 5 } },
    {
      ...BLOB_CONFIG,
      blueprint,
      task: 'regression',
      training: { ...BLOB_TRAINING, loss: 'mse' },
    },
  ],
];

describe('the finished model', () => {
  it.each(MODELS)('answers %s in onnxruntime', async (_, recipe, config) => {
    const forward = forwardGraph(config, recipe);
    const trained = new Map(
      [...forward.initializers].map(([name, { data }]) => [name, data as Float32Array]),
    );
    const { loss } = config.training;
    const { graph, signature } = assembleModel(
      compileRecipe(recipe),
      forward,
      trained,
      recipe,
      loss,
    );
    expect(graph.nodes.map(({ op }) => op)).not.toContain('Dropout');
    const session = await InferenceSession.create(writeModel(graph));
    const { features } = blobs(6, 4);
    const numeric = Float32Array.from(features.flat());
    // A missing number is imputed inside the file.
    numeric[3] = NaN;
    const result = await session.run({ numeric: new Tensor('float32', numeric, [6, 2]) });
    expect(Object.keys(result).sort()).toEqual(signature.outputs.map(({ name }) => name).sort());

    numeric[3] = 0.25;
    const expected = mlp(trained, numeric);
    const found = (name: string): number[] => [...(result[name]?.data as Float32Array)];
    const close = (a: number[], b: number[]): void => {
      expect(a).toHaveLength(b.length);
      a.forEach((value, i) => expect(Math.abs(value - (b[i] ?? NaN))).toBeLessThan(1e-5));
    };
    if (config.task === 'regression') {
      close(
        found('prediction'),
        expected.flat().map((y) => y * 5 + 40),
      );
    } else if (loss === 'bce') {
      const sigmoid = expected.flat().map((x) => 1 / (1 + Math.exp(-x)));
      close(
        found('probabilities'),
        sigmoid.flatMap((p) => [1 - p, p]),
      );
    } else {
      close(found('logits'), expected.flat());
      close(found('probabilities'), expected.flatMap(softmax));
    }
  });
});

/** Two Gemms with a tanh between, written out. */
function mlp(weights: ReadonlyMap<string, Float32Array>, rows: Float32Array): number[][] {
  const layer = (x: number[], name: string): number[] =>
    [...(weights.get(`${name}.bias`) ?? [])].map((bias, unit) =>
      x.reduce(
        (sum, value, i) =>
          sum + value * (weights.get(`${name}.weight`)?.[unit * x.length + i] ?? 0),
        bias,
      ),
    );
  return Array.from({ length: rows.length / 2 }, (_, i) => {
    const x = [rows[2 * i] ?? 0, rows[2 * i + 1] ?? 0];
    return layer(layer(x, 'dense1').map(Math.tanh), 'output');
  });
}

function softmax(logits: number[]): number[] {
  const powers = logits.map(Math.exp);
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
