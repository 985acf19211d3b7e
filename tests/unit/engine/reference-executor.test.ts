import { describe, expect, it } from 'vitest';
import type { Feed } from '../../../src/engine/executor';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { GraphBuilder } from '../../../src/onnx/builder';
import { TRAINING_DOMAIN } from '../../../src/onnx/graph';
import { buildTrainingGraph } from '../../../src/training/training-graph';
import {
  goldenFeeds,
  goldenForward,
  goldenOptions,
  goldenTrainingCases,
} from '../../support/golden';

function caseNamed(name: string) {
  const found = goldenTrainingCases().find((golden) => golden.name === name);
  if (!found) throw new Error(`There is no golden case ${name}.`);
  return found;
}

async function start(name: string) {
  const golden = caseNamed(name);
  const training = buildTrainingGraph(goldenForward(golden), goldenOptions(golden));
  const executor = createReferenceExecutor();
  const state = await executor.createState(training.stateSpecs);
  await state.write(training.initialState);
  const program = await executor.compile(training.graph, state, training);
  return { golden, training, executor, state, program };
}

/** The feeds of a step with one feature replaced. */
function withFeature(feeds: Map<string, Feed>, value: number): Map<string, Feed> {
  const features = Float32Array.from(feeds.get('features') ?? []);
  features[3] = value;
  return new Map(feeds).set('features', features);
}

describe('the reference executor', () => {
  it.each([NaN, Infinity])(
    'skips a step whose gradient is not finite (feature %d)',
    async (bad) => {
      const { golden, state, program } = await start('cnn adamw');
      await program.step(goldenFeeds(golden, 0)).read();
      const before = await state.read();
      const feeds = withFeature(goldenFeeds(golden, 1), bad);
      const read = await program.step(feeds).read();
      expect(Number.isFinite(read.get('grad_norm')?.[0])).toBe(false);
      expect(read.get('step_done')?.[0]).toBe(2);
      expect(await state.read()).toEqual(before);
      await program.step(goldenFeeds(golden, 1)).read();
      expect(await state.read()).not.toEqual(before);
    },
  );

  it.each([
    ['NaN', (weights: Float32Array) => weights.fill(NaN, 0, 1)],
    ['nothing', (weights: Float32Array) => weights.fill(0)],
  ])('keeps finite running statistics too when the weights are %s', async (_, spoil) => {
    const { golden, state, program } = await start('cnn sgd');
    const before = await state.read();
    const feeds = goldenFeeds(golden, 0);
    feeds.set('sample_weight', spoil(Float32Array.from(feeds.get('sample_weight') ?? [])));
    await program.step(feeds).read();
    expect(await state.read()).toEqual(before);
  });

  it('is bit-equal from run to run', async () => {
    const [a, b] = [await start('cnn sgd'), await start('cnn sgd')];
    for (const index of [0, 1, 2]) {
      await a.program.step(goldenFeeds(a.golden, index)).read();
      await b.program.step(goldenFeeds(b.golden, index)).read();
    }
    expect(await a.state.read()).toEqual(await b.state.read());
  });

  it('restores a snapshot, and refuses where there is none', async () => {
    const { golden, state, program } = await start('mlp adam');
    await expect(async () => state.restore()).rejects.toThrow(/no snapshot/);
    await program.step(goldenFeeds(golden, 0)).read();
    const kept = await state.read();
    await state.snapshot();
    await program.step(goldenFeeds(golden, 1)).read();
    await state.restore();
    expect(await state.read()).toEqual(kept);
  });

  it('reads copies, so that a checkpoint does not move with training', async () => {
    const { golden, state, program } = await start('mlp sgd');
    const [name] = golden.initial ? Object.keys(golden.initial) : [];
    const before = await state.read([name ?? '']);
    const values = Array.from(before.get(name ?? '') ?? []);
    await program.step(goldenFeeds(golden, 0)).read();
    expect(Array.from(before.get(name ?? '') ?? [])).toEqual(values);
  });

  it('names a feed that is missing or of the wrong length', async () => {
    const { golden, program } = await start('mlp sgd');
    const feeds = goldenFeeds(golden, 0);
    feeds.delete('labels');
    expect(() => program.step(feeds)).toThrow(/"labels" was not fed/);
    feeds.set('labels', new Int32Array(5));
    expect(() => program.step(feeds)).toThrow(/"labels" has 5 values/);
  });

  it('refuses outputs the graph lacks, states of others, and values of the wrong length', async () => {
    const { executor, training, state } = await start('mlp sgd');
    const options = { updates: training.updates, outputs: ['perplexity'] };
    await expect(async () => executor.compile(training.graph, state, options)).rejects.toThrow(
      /no output "perplexity"/,
    );
    const [spec] = training.stateSpecs;
    const short = new Map([[spec?.name ?? '', new Float32Array(1)]]);
    await expect(async () => state.write(short)).rejects.toThrow(/1 were to be written/);
  });
});

describe('runGraph', () => {
  it('takes tensors, lets feeds replace initialisers, and frees nothing that is an output', () => {
    const builder = new GraphBuilder('sum');
    const x = builder.input('x', 'int64', [2]);
    const w = builder.initializer('w', {
      dtype: 'int64',
      dims: [2],
      data: BigInt64Array.of(1n, 2n),
    });
    const middle = builder.node('Add', [x, w], {}, { outputs: ['middle'] });
    builder.node('Mul', [middle, middle], {}, { outputs: ['end'] });
    builder.output('middle', 'int64', [2]);
    builder.output('end', 'int64', [2]);
    const tensor = (a: bigint, b: bigint) =>
      ({ dtype: 'int64', dims: [2], data: BigInt64Array.of(a, b) }) as const;
    const graph = builder.build();
    const first = runGraph(graph, new Map([['x', tensor(3n, 4n)]]));
    expect(Array.from(first.get('middle')?.data ?? [])).toEqual([4, 6]);
    expect(Array.from(first.get('end')?.data ?? [])).toEqual([16, 36]);
    const replaced = runGraph(
      graph,
      new Map([
        ['x', tensor(3n, 4n)],
        ['w', tensor(0n, 0n)],
      ]),
    );
    expect(Array.from(replaced.get('end')?.data ?? [])).toEqual([9, 16]);
  });

  it('says which operator it does not know', () => {
    const builder = new GraphBuilder('odd');
    builder.node('TfIdfVectorizer', [builder.input('x', 'float32', [1])], {}, { outputs: ['y'] });
    builder.output('y', 'float32', [1]);
    const feeds = new Map([
      ['x', { dtype: 'float32', dims: [1], data: Float64Array.of(1) } as const],
    ]);
    expect(() => runGraph(builder.build(), feeds)).toThrow(/operator TfIdfVectorizer/);
  });

  it('refuses a label outside the classes', () => {
    const builder = new GraphBuilder('label');
    const logits = builder.input('logits', 'float32', [1, 2]);
    const labels = builder.input('labels', 'int32', [1]);
    const weight = builder.input('weight', 'float32', [1]);
    builder.nodes(
      'SoftmaxCrossEntropy',
      [logits, labels, weight],
      3,
      {},
      {
        domain: TRAINING_DOMAIN,
        outputs: ['n', 'd', 'p'],
      },
    );
    builder.output('n', 'float32', []);
    const value = (dims: number[], ...data: number[]) =>
      ({ dtype: 'float32', dims, data: Float64Array.from(data) }) as const;
    const feeds = new Map([
      ['logits', value([1, 2], 0, 0)],
      ['labels', value([1], 2)],
      ['weight', value([1], 1)],
    ]);
    expect(() => runGraph(builder.build(), feeds)).toThrow(
      /label 2, but the model knows classes 0 to 1/,
    );
  });
});
