/** Recomputation: the same bits in fewer bytes, counted while the reference interpreter runs. */
import { describe, expect, it } from 'vitest';
import { differentiate } from '../../../src/autodiff/differentiate';
import type { Differentiated } from '../../../src/autodiff/differentiate';
import { recompute } from '../../../src/autodiff/recompute';
import { withHead } from '../../../src/autodiff/new-head';
import { bodyBlocks, bodyOf, findHead } from '../../../src/autodiff/surgery';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Graph, ValueInfo } from '../../../src/onnx/graph';
import type { Value } from '../../../src/ops/define';
import { tensorOf } from '../../../src/ops/value';
import { trainableFor } from '../../../src/training/trainable';
import { buildTrainingGraph } from '../../../src/training/training-graph';
import { randomNumbers, uniform } from '../../support/calls';
import { exported } from '../../support/exported';

const WIDTH = 8;
const ROWS = 16;
const VALUE = ROWS * WIDTH * 4;

/** `depth` dense layers with a tanh each; every second pair has a way around it. */
function deep(depth: number): { learned: Differentiated; feeds: Map<string, Value> } {
  const random = randomNumbers(depth);
  const builder = new GraphBuilder('deep');
  let x = builder.input('x', 'float32', [ROWS, WIDTH]);
  const names: string[] = [];
  for (let layer = 0; layer < depth; layer++) {
    const weight = `w${layer}`;
    names.push(builder.initializer(weight, tensorOf(uniform(random, [WIDTH, WIDTH]))));
    const y = builder.node('Tanh', [builder.node('MatMul', [x, weight])]);
    x = layer % 4 === 3 ? builder.node('Add', [x, y]) : y;
  }
  builder.node('ReduceSum', [x], { keepdims: attr.int(0) }, { outputs: ['loss'] });
  const { dtype, dims, data } = uniform(random, [ROWS, WIDTH]);
  return {
    learned: differentiate(builder.build(), { numerator: 'loss' }, names),
    feeds: new Map([['x', { dtype, dims, data }]]),
  };
}

function gradientsOf(graph: Graph, { gradients }: Differentiated, feeds: Map<string, Value>) {
  const outputs = [...gradients.values()].map((name): ValueInfo => ({
    name,
    dtype: 'float32',
    dims: [WIDTH, WIDTH],
  }));
  return runGraph({ ...graph, outputs }, feeds);
}

/** Bytes of forward values (and copies) alive after each node, by a count of its own. */
function aliveBytes(graph: Graph, forwardNodes: number): { kept: number; peak: number } {
  const sizes = new Map<string, number>();
  for (const node of graph.nodes.slice(0, forwardNodes)) {
    const scalar = node.op === 'ReduceSum';
    for (const name of node.outputs) {
      sizes.set(name, scalar ? 4 : VALUE);
      sizes.set(`${name}/again`, scalar ? 4 : VALUE);
    }
  }
  let peak = 0;
  let kept = 0;
  graph.nodes.forEach((_, at) => {
    const before = graph.nodes.slice(0, at + 1).flatMap(({ outputs }) => outputs);
    const later = new Set(graph.nodes.slice(at + 1).flatMap(({ inputs }) => inputs));
    const here = new Set(graph.nodes[at]?.outputs);
    const reading = new Set(graph.nodes[at]?.inputs);
    let alive = 0;
    let during = 0;
    for (const name of before) {
      if (later.has(name)) alive += sizes.get(name) ?? 0;
      if (later.has(name) || here.has(name) || reading.has(name)) during += sizes.get(name) ?? 0;
    }
    peak = Math.max(peak, during);
    if (at === forwardNodes - 1) kept = alive;
  });
  return { kept, peak };
}

describe('recompute', () => {
  it('leaves a graph alone that is within the budget', () => {
    const { learned } = deep(6);
    const { graph, keptBytes, peakBytes, repeated } = recompute(learned, 1e9);
    expect(graph).toBe(learned.graph);
    expect(repeated).toBe(0);
    expect({ kept: keptBytes, peak: peakBytes }).toEqual(aliveBytes(graph, learned.forwardNodes));
  });

  it.each([0.75, 0.5, 0.4])('stays under %f of the bytes, with the same bits', (share) => {
    const { learned, feeds } = deep(32);
    const plain = aliveBytes(learned.graph, learned.forwardNodes);
    const budget = plain.peak * share;
    const { graph, keptBytes, peakBytes, repeated } = recompute(learned, budget);
    expect(peakBytes).toBeLessThanOrEqual(budget);
    expect({ kept: keptBytes, peak: peakBytes }).toEqual(aliveBytes(graph, learned.forwardNodes));
    expect(repeated).toBeGreaterThan(0);
    expect(repeated).toBeLessThan(learned.forwardNodes);
    const expected = gradientsOf(learned.graph, learned, feeds);
    const found = gradientsOf(graph, learned, feeds);
    for (const [name, { data }] of expected) expect(found.get(name)?.data, name).toEqual(data);
  });

  it('grows like the root of the depth where the budget asks for the impossible', () => {
    const kept = [16, 64, 256].map((depth) => recompute(deep(depth).learned, 0).peakBytes / VALUE);
    const [small = 0, middle = 0, large = 0] = kept;
    // Four times as deep is about twice the memory, not four times.
    expect(middle / small).toBeLessThan(3);
    expect(large / middle).toBeLessThan(3);
  });

  it('spends less on a second pass the more it may keep', () => {
    const { learned } = deep(48);
    const plain = aliveBytes(learned.graph, learned.forwardNodes).peak;
    const repeated = [0.8, 0.6, 0.4].map((share) => recompute(learned, plain * share).repeated);
    expect(repeated).toEqual(repeated.toSorted((a, b) => a - b));
  });
});

describe('a training graph with a budget', () => {
  it.each(['resnet', 'vit'])('learns the same from the same bits: %s', async (name) => {
    const model = exported(name);
    const head = { classes: 3, hidden: 0, dropout: 0, seed: 2 };
    const forward = withHead(bodyOf(model, findHead(model).cut), head);
    const strategy = { kind: 'full', depthDecay: 1 } as const;
    const options = {
      task: 'classification',
      loss: 'softmax-ce',
      batchSize: 2,
      optimiser: { kind: 'sgd', momentum: 0.9 },
      trainable: trainableFor(strategy, forward, bodyBlocks(forward)).weights,
    } as const;
    const plain = buildTrainingGraph(forward, options);
    const lean = buildTrainingGraph(forward, { ...options, activationBytes: 0 });
    expect(lean.graph.nodes.length).toBeGreaterThan(plain.graph.nodes.length);
    const states = [];
    for (const training of [plain, lean]) {
      const executor = createReferenceExecutor();
      const state = await executor.createState(training.stateSpecs);
      await state.write(training.initialState);
      const program = await executor.compile(training.graph, state, training);
      const { data } = uniform(randomNumbers(1), [2, 3, 16, 16]);
      const one = Float32Array.of(1);
      await program
        .step(
          new Map<string, Float32Array | Int32Array>([
            ['features', Float32Array.from(data)],
            ['labels', Int32Array.of(2, 0)],
            ['sample_weight', Float32Array.of(1, 1)],
            ...(['learning_rate', 'step'] as const).map((each) => [each, one] as const),
            ['clip_norm', Float32Array.of(0)],
          ]),
        )
        .read();
      states.push(await state.read());
    }
    expect(states[1]).toEqual(states[0]);
  });
});
