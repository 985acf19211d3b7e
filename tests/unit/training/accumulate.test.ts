import { describe, expect, it } from 'vitest';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { buildBlueprint } from '../../../src/blueprints/build';
import { dropoutKey, PhiloxStream } from '../../../src/core/philox';
import type { Graph } from '../../../src/onnx/graph';
import type { OwnBlueprint } from '../../../src/protocol/entities';
import { isSum } from '../../../src/training/accumulate';
import { buildTrainingGraph } from '../../../src/training/training-graph';
import type { TrainingGraph, TrainingOptions } from '../../../src/training/training-graph';

const ROWS = 12;
const STEPS = 3;
const BASE: Omit<TrainingOptions, 'batchSize'> = {
  task: 'classification',
  loss: 'softmax-ce',
  optimiser: { kind: 'adamw', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
  withGradients: true,
};

interface Rows {
  readonly features: Float32Array;
  readonly labels: Int32Array;
  readonly weights: Float32Array;
}

/** Rows of unequal weight; the last third of the second step only fills, as at the end of an epoch. */
function rowsOf(step: number, width: number): Rows {
  const stream = new PhiloxStream(5, 'rows', step);
  return {
    features: Float32Array.from({ length: ROWS * width }, () => stream.normal()),
    labels: Int32Array.from({ length: ROWS }, () => stream.below(3)),
    weights: Float32Array.from({ length: ROWS }, (_, row) =>
      step === 2 && row >= (ROWS * 2) / 3 ? 0 : 0.5 + stream.uniform(),
    ),
  };
}

/** The readable outputs of each step and the State at the end, on the reference executor. */
async function steps(
  graph: TrainingGraph,
  parts: number,
  width: number,
): Promise<{ results: Map<string, Float32Array>[]; state: Map<string, Float32Array> }> {
  const executor = createReferenceExecutor();
  const state = await executor.createState(graph.stateSpecs);
  await state.write(graph.initialState);
  const train = await executor.compile(graph.graph, state, graph);
  const micro = graph.micro && (await executor.compile(graph.micro.graph, state, graph.micro));
  const results: Map<string, Float32Array>[] = [];
  for (let step = 1; step <= STEPS; step++) {
    const { features, labels, weights } = rowsOf(step, width);
    const feeds = (part: number) => {
      const from = (part * ROWS) / parts;
      const to = from + ROWS / parts;
      return new Map<string, Float32Array | Int32Array>([
        ['features', features.slice(from * width, to * width)],
        ['labels', labels.slice(from, to)],
        ['sample_weight', weights.slice(from, to)],
        ['micro_step', Float32Array.of(part)],
        ['dropout_key', dropoutKey(9, step, part)],
      ]);
    };
    const scalars = [
      ['learning_rate', Float32Array.of(0.01)],
      ['step', Float32Array.of(step)],
      ['clip_norm', Float32Array.of(0.5)],
    ] as const;
    if (micro) for (let part = 0; part < parts; part++) micro.step(feeds(part));
    const ticket = train.step(new Map([...(micro ? [] : feeds(0)), ...scalars]));
    results.push(await ticket.read());
  }
  return { results, state: await state.read() };
}

function expectClose(
  found: ReadonlyMap<string, Float32Array>,
  wanted: ReadonlyMap<string, Float32Array>,
): void {
  for (const [name, values] of wanted) {
    const own = found.get(name);
    expect(own, name).toHaveLength(values.length);
    values.forEach((value, i) => {
      const error = Math.abs((own?.[i] ?? NaN) - value);
      expect(error, `${name}[${i}]`).toBeLessThanOrEqual(2e-6 + 1e-5 * Math.abs(value));
    });
  }
}

const MODELS: readonly [string, OwnBlueprint, readonly number[]][] = [
  ['a perceptron', { kind: 'mlp', hidden: [7, 5], activation: 'gelu', dropout: 0.25 }, [4]],
  [
    'a network of filters',
    {
      kind: 'cnn',
      channels: [3, 4],
      batchNorm: false,
      pool: 'max',
      globalPool: true,
      dense: 6,
      dropout: 0.2,
    },
    [1, 6, 6],
  ],
];

function forwardOf(blueprint: OwnBlueprint, featureDims: readonly number[]): Graph {
  return buildBlueprint(blueprint, { featureDims, outputs: 3, seed: 2 });
}

describe('gradient accumulation', () => {
  it.each(MODELS)('is the step of the whole batch for %s', async (_, blueprint, dims) => {
    const forward = forwardOf(blueprint, dims);
    const width = dims.reduce((product, dim) => product * dim, 1);
    const whole = await steps(buildTrainingGraph(forward, { ...BASE, batchSize: ROWS }), 1, width);
    for (const parts of [2, 3, 12]) {
      const options = { ...BASE, batchSize: ROWS / parts, accumulate: parts };
      const divided = await steps(buildTrainingGraph(forward, options), parts, width);
      divided.results.forEach((result, step) =>
        expectClose(result, whole.results[step] ?? new Map()),
      );
      expectClose(divided.state, whole.state);
    }
  });

  it('keeps the optimiser out of the micro-step, and the rows out of the end', () => {
    const forward = forwardOf(...(MODELS[0]?.slice(1) as [OwnBlueprint, readonly number[]]));
    const { graph, micro, stateSpecs } = buildTrainingGraph(forward, {
      ...BASE,
      batchSize: 4,
      accumulate: 3,
    });
    const fed = (inputs: Graph['inputs']): string[] => {
      const held = new Set(stateSpecs.map(({ name }) => name));
      return inputs.map(({ name }) => name).filter((name) => !held.has(name));
    };
    expect(fed(graph.inputs)).toEqual(['learning_rate', 'step', 'clip_norm']);
    expect(fed(micro?.graph.inputs ?? [])).toEqual(
      expect.arrayContaining(['features', 'labels', 'sample_weight', 'micro_step']),
    );
    expect(micro?.graph.nodes.some(({ op }) => op === 'AdamW')).toBe(false);
    expect(graph.nodes.map(({ op }) => op)).toContain('AdamW');
    expect(graph.nodes.every(({ op }) => ['Identity', 'Div', 'AdamW'].includes(op))).toBe(true);
  });

  it('forgets the sums of a step that broke', async () => {
    const forward = forwardOf(...(MODELS[0]?.slice(1) as [OwnBlueprint, readonly number[]]));
    const graph = buildTrainingGraph(forward, { ...BASE, batchSize: 6, accumulate: 2 });
    const broken = new Map(
      graph.stateSpecs.map(({ name, dims }) => {
        const size = dims.reduce((product, dim) => product * dim, 1);
        const held = graph.initialState.get(name) ?? new Float32Array(size);
        return [name, isSum(name) ? new Float32Array(size).fill(NaN) : held];
      }),
    );
    const sound = await steps(graph, 2, 4);
    const mended = await steps({ ...graph, initialState: broken }, 2, 4);
    expect(mended.state).toEqual(sound.state);
  });

  it('lets a batch norm see one micro-batch at a time', async () => {
    const blueprint = { ...(MODELS[1]?.[1] as OwnBlueprint), batchNorm: true } as OwnBlueprint;
    const forward = forwardOf(blueprint, [1, 6, 6]);
    const options = { ...BASE, batchSize: 6, accumulate: 2 };
    const graph = buildTrainingGraph(forward, options);
    expect(graph.statistics).toHaveLength(4);
    const { state } = await steps(graph, 2, 36);
    // Every micro-batch moves the running statistics: those of a step are those of two small steps.
    const alone = buildTrainingGraph(forward, { ...BASE, batchSize: 6 });
    const executor = createReferenceExecutor();
    const small = await executor.createState(alone.stateSpecs);
    await small.write(alone.initialState);
    const program = await executor.compile(alone.graph, small, alone);
    const first = await executor.createState(graph.stateSpecs);
    await first.write(graph.initialState);
    const micro = await executor.compile(graph.micro?.graph ?? graph.graph, first, {
      updates: graph.micro?.updates ?? new Map(),
      outputs: [],
    });
    const { features, labels, weights } = rowsOf(1, 36);
    for (const part of [0, 1]) {
      const feeds = new Map<string, Float32Array | Int32Array>([
        ['features', features.slice(part * 216, (part + 1) * 216)],
        ['labels', labels.slice(part * 6, (part + 1) * 6)],
        ['sample_weight', weights.slice(part * 6, (part + 1) * 6)],
        ['micro_step', Float32Array.of(part)],
        ['learning_rate', Float32Array.of(0)],
        ['step', Float32Array.of(1)],
        ['clip_norm', Float32Array.of(0)],
        ['dropout_key', dropoutKey(9, 1, part)],
      ]);
      micro.step(feeds);
      program.step(feeds);
    }
    const [a, b] = [await first.read(graph.statistics), await small.read(graph.statistics)];
    expectClose(a, b);
    expect([...state.values()].flatMap((values) => [...values]).every(Number.isFinite)).toBe(true);
  });
});
