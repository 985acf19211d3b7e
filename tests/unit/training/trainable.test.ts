/** What each strategy lets learn on an exported model, and that a step changes exactly that. */
import { describe, expect, it } from 'vitest';
import { addLora } from '../../../src/autodiff/lora';
import { withHead } from '../../../src/autodiff/new-head';
import { bodyBlocks, bodyOf, findHead } from '../../../src/autodiff/surgery';
import { dropoutKey } from '../../../src/core/philox';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { applyUpdate } from '../../../src/engine/wasm/update';
import { readOptimiser } from '../../../src/engine/optimiser';
import type { Graph } from '../../../src/onnx/graph';
import type { OptimiserConfig } from '../../../src/protocol/entities';
import type { FineTuneStrategy } from '../../../src/protocol/fine-tune';
import { factorsAt, openBlocks, trainableFor } from '../../../src/training/trainable';
import {
  buildTrainingGraph,
  buildValidationGraph,
  factorsFeed,
  FACTORS_INPUT,
} from '../../../src/training/training-graph';
import type { TrainingOptions } from '../../../src/training/training-graph';
import { randomNumbers, uniform } from '../../support/calls';
import { exported } from '../../support/exported';
import { relativeDistance } from '../../support/golden';

const ADAMW: OptimiserConfig = {
  kind: 'adamw',
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-6,
  weightDecay: 0.1,
};
const SGD: OptimiserConfig = { kind: 'sgd', momentum: 0.9 };
const ROWS = 4;

function forwardOf(name: string): Graph {
  const graph = exported(name);
  const head = { classes: 3, hidden: 0, dropout: 0, seed: 11 };
  return withHead(bodyOf(graph, findHead(graph).cut), head);
}

function optionsFor(trainable: readonly string[], more: Partial<TrainingOptions> = {}) {
  return {
    task: 'classification',
    loss: 'softmax-ce',
    batchSize: ROWS,
    optimiser: ADAMW,
    withGradients: true,
    trainable,
    ...more,
  } as const satisfies TrainingOptions;
}

function feedsOf(step = 1): Map<string, Float32Array | Int32Array> {
  const { data } = uniform(randomNumbers(step), [ROWS, 3, 16, 16]);
  return new Map<string, Float32Array | Int32Array>([
    ['features', Float32Array.from(data)],
    ['labels', Int32Array.of(0, 1, 2, 1)],
    ['sample_weight', new Float32Array(ROWS).fill(1)],
    ['learning_rate', Float32Array.of(0.05)],
    ['step', Float32Array.of(step)],
    ['clip_norm', Float32Array.of(0.5)],
  ]);
}

/** State before and after some steps on the reference, and what the last ticket read. */
async function run(
  training: ReturnType<typeof buildTrainingGraph>,
  factors: readonly Float32Array[],
) {
  const executor = createReferenceExecutor();
  const state = await executor.createState(training.stateSpecs);
  await state.write(training.initialState);
  const program = await executor.compile(training.graph, state, training);
  let read = new Map<string, Float32Array>();
  for (const [index, factor] of factors.entries()) {
    const feeds = feedsOf(index + 1);
    if (factor.length > 0) feeds.set(FACTORS_INPUT, factor);
    read = await program.step(feeds).read();
  }
  return { before: training.initialState, after: await state.read(), read };
}

const strategies: readonly (readonly [FineTuneStrategy, number])[] = [
  [{ kind: 'head' }, 0],
  [{ kind: 'last-blocks', blocks: 2 }, 2],
  [{ kind: 'full', depthDecay: 0.5 }, 5],
  [{ kind: 'gradual', epochsPerBlock: 2, depthDecay: 0.5 }, 5],
];

describe.each(strategies)('%o', (strategy, count) => {
  const forward = forwardOf('resnet');
  const blocks = bodyBlocks(forward);
  const { weights, factors } = trainableFor(strategy, forward, blocks);

  it('names the weights that learn and the rate of each', () => {
    expect(weights.slice(0, 2)).toEqual(['head.weight', 'head.bias']);
    const learning = blocks.slice(blocks.length - count);
    expect([...weights.slice(2)].sort()).toEqual(learning.flatMap((b) => b.weights).sort());
    expect(factors.get('head.weight')).toBe(1);
    blocks.toReversed().forEach((block, index) => {
      const decay = 'depthDecay' in strategy ? strategy.depthDecay ** (index + 1) : 1;
      for (const name of block.weights) {
        expect(factors.get(name), name).toBe(index < count ? decay : undefined);
      }
    });
  });

  it('leaves everything else as it is, and has no backward nodes for it', async () => {
    const training = buildTrainingGraph(forward, optionsFor(weights));
    const nodes = training.graph.nodes.map(({ op }) => op);
    const backward = nodes.filter((op) => /Grad/.test(op)).length;
    const full = buildTrainingGraph(
      forward,
      optionsFor(trainableFor({ kind: 'full', depthDecay: 1 }, forward, blocks).weights),
    ).graph.nodes.length;
    if (count === 0) {
      expect(backward).toBe(1); // of the loss
      // One matrix product and one sum are the whole backward pass of a linear head.
      const before = forward.nodes.length;
      expect(nodes.length - before).toBeLessThan(12);
    } else if (count < blocks.length) expect(nodes.length).toBeLessThan(full * 0.75);
    const held = training.stateSpecs.map(({ name }) => name);
    expect(held.filter((name) => /running_/.test(name)).length > 0).toBe(count > 0);
    const { before, after } = await run(training, [new Float32Array(0)]);
    for (const name of weights) expect(after.get(name), name).not.toEqual(before.get(name));
  });
});

describe('open blocks', () => {
  it('are a function of the epoch', () => {
    const gradual = { kind: 'gradual', epochsPerBlock: 2, depthDecay: 0.5 } as const;
    const open = [0, 1, 2, 3, 4, 5, 6, 20].map((epoch) => openBlocks(gradual, 3, epoch));
    expect(open).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    expect(openBlocks({ kind: 'last-blocks', blocks: 9 }, 3, 0)).toBe(3);
    const forward = forwardOf('mobilenet');
    const blocks = bodyBlocks(forward);
    const all = trainableFor(gradual, forward, blocks).weights;
    const first = factorsAt(gradual, forward, blocks, 0);
    expect([...first.keys()]).toEqual(all);
    expect([...first.values()].filter((factor) => factor > 0)).toEqual([1, 1]);
    const second = factorsAt(gradual, forward, blocks, 2);
    for (const name of blocks.at(-1)?.weights ?? []) expect(second.get(name)).toBe(0.5);
    for (const name of blocks.at(-2)?.weights ?? []) expect(second.get(name)).toBe(0);
  });
});

describe('LoRA', () => {
  it('trains the adapters and the head, and nothing of the body', async () => {
    const forward = addLora(forwardOf('vit'), {
      ...{ rank: 2, alpha: 4, dropout: 0.25, targets: '*attn*', seed: 5 },
    });
    const adapters = { rank: 2, alpha: 4, dropout: 0.25, targets: '*attn*' };
    const strategy = { kind: 'lora', ...adapters } as const;
    const { weights } = trainableFor(strategy, forward, bodyBlocks(forward));
    expect(weights).toHaveLength(2 + 2 * 6);
    const training = buildTrainingGraph(forward, optionsFor(weights, { optimiser: SGD }));
    expect(training.graph.nodes.filter(({ op }) => op === 'DropoutMask')).toHaveLength(6);
    const feeds = feedsOf().set('dropout_key', dropoutKey(5, 1));
    const executor = createReferenceExecutor();
    const state = await executor.createState(training.stateSpecs);
    await state.write(training.initialState);
    const program = await executor.compile(training.graph, state, training);
    await program.step(feeds).read();
    const after = await state.read();
    // B is zero at first, so only B moves in the first step.
    for (const name of weights) {
      const same = relativeDistance(after.get(name) ?? [], training.initialState.get(name) ?? []);
      expect(same > 0, name).toBe(!name.endsWith('lora_a'));
    }
  });
});

describe('batch norms', () => {
  it('frozen: scale and bias learn, statistics stay; both graphs compute with them', async () => {
    const forward = forwardOf('resnet');
    const weights = trainableFor({ kind: 'full', depthDecay: 1 }, forward, bodyBlocks(forward));
    const options = optionsFor(weights.weights, { batchNorm: 'frozen' });
    const training = buildTrainingGraph(forward, options);
    expect(training.stateSpecs.some(({ name }) => /running_/.test(name))).toBe(false);
    expect(training.graph.nodes.some(({ op }) => op === 'BatchNormTrain')).toBe(false);
    const { read } = await run(training, [new Float32Array(0)]);
    const validation = buildValidationGraph(forward, options);
    const executor = createReferenceExecutor();
    const state = await executor.createState(training.stateSpecs);
    await state.write(training.initialState);
    const program = await executor.compile(validation.graph, state, {
      updates: new Map(),
      outputs: validation.outputs,
    });
    const loss = (await program.step(feedsOf()).read()).get('loss_numerator')?.[0];
    expect(read.get('loss_numerator')?.[0]).toBeCloseTo(loss ?? NaN, 5);
  });
});

describe('learning-rate factors', () => {
  const forward = forwardOf('mobilenet');
  const { weights } = trainableFor({ kind: 'full', depthDecay: 1 }, forward, bodyBlocks(forward));

  it('scale the step of each weight; 0 rests, without a part in the norm', async () => {
    const resting = new Set(weights.slice(4, 9));
    const factors = new Map(
      weights.map((name, index) => [name, resting.has(name) ? 0 : 1 / (1 + index)]),
    );
    const training = buildTrainingGraph(forward, optionsFor(weights, { withFactors: true }));
    const feed = factorsFeed(training.weights, factors);
    const { before, after, read } = await run(training, [feed]);
    const plain = await run(buildTrainingGraph(forward, optionsFor(weights)), [
      new Float32Array(0),
    ]);
    let squares = 0;
    for (const name of weights) {
      if (resting.has(name)) expect(after.get(name), name).toEqual(before.get(name));
      else for (const g of read.get(`${name}/grad`) ?? []) squares += g * g;
      // Moments of resting weights go on.
      expect(
        after.get(`${name}/m`)?.some((value) => value !== 0),
        name,
      ).toBe(true);
    }
    expect(read.get('grad_norm')?.[0]).toBeCloseTo(Math.sqrt(squares), 5);
    expect(plain.read.get('grad_norm')?.[0]).toBeGreaterThan(Math.sqrt(squares) * 1.001);
  });

  it.each([SGD, ADAMW])('are the same on typed arrays: $kind', async (optimiser) => {
    const training = buildTrainingGraph(
      forward,
      optionsFor(weights, { withFactors: true, optimiser }),
    );
    const factors = Float32Array.from(weights, (_, index) => (index % 3) / 2);
    const { after, read } = await run(training, [factors]);
    const node = training.graph.nodes.at(-1);
    if (!node) throw new Error('The graph is empty.');
    const plan = readOptimiser(node);
    expect(plan.factors).toBe(FACTORS_INPUT);
    const arrays = new Map([...training.initialState].map(([name, data]) => [name, data.slice()]));
    const gradients = weights.map((name) => read.get(`${name}/grad`) ?? new Float32Array(0));
    const norm = applyUpdate(plan, gradients, (name) => arrays.get(name) ?? new Float32Array(0), {
      ...{ learningRate: 0.05, step: 1, clipNorm: 0.5, factors },
    });
    expect(norm).toBeCloseTo(read.get('grad_norm')?.[0] ?? NaN, 5);
    for (const name of weights) {
      for (const entry of [name, `${name}/m`]) {
        const distance = relativeDistance(arrays.get(entry) ?? [], after.get(entry) ?? []);
        expect(distance, entry).toBeLessThan(1e-5);
      }
    }
  });

  it('a gradient that is not finite stops the step, resting or not', async () => {
    const training = buildTrainingGraph(forward, optionsFor(weights, { withFactors: true }));
    const node = training.graph.nodes.at(-1);
    if (!node) throw new Error('The graph is empty.');
    const plan = readOptimiser(node);
    const arrays = new Map([...training.initialState].map(([name, data]) => [name, data.slice()]));
    const gradients = weights.map((name) => (arrays.get(name) ?? new Float32Array(1)).map(() => 1));
    gradients[4]?.fill(NaN);
    const factors = Float32Array.from(weights, (_, index) => (index === 4 ? 0 : 1));
    applyUpdate(plan, gradients, (name) => arrays.get(name) ?? new Float32Array(0), {
      ...{ learningRate: 0.05, step: 1, clipNorm: 0, factors },
    });
    for (const [name, data] of arrays) {
      if (weights.includes(name)) expect(data, name).toEqual(training.initialState.get(name));
    }
  });
});
