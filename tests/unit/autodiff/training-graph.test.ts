import { describe, expect, it } from 'vitest';
import { purposeHash } from '../../../src/core/philox';
import { withHostMasks } from '../../../src/engine/host-masks';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { GraphBuilder } from '../../../src/onnx/builder';
import { TRAINING_DOMAIN } from '../../../src/onnx/graph';
import type { Graph, Tensor } from '../../../src/onnx/graph';
import { dropoutMaskSettings } from '../../../src/ops/DropoutMask/spec';
import { expandTrainingOps } from '../../../src/ops/expand-graph';
import { tensorOf } from '../../../src/ops/value';
import { learningRateAt } from '../../../src/training/schedule';
import { buildTrainingGraph, buildValidationGraph } from '../../../src/training/training-graph';
import {
  goldenFeeds,
  goldenForward,
  goldenOptions,
  goldenTrainingCases,
  relativeDistance,
} from '../../support/golden';
import { runOnnxRuntime } from '../../support/onnxruntime';

const cases = new Map(goldenTrainingCases().map((golden) => [golden.name, golden]));

function caseNamed(name: string) {
  const found = cases.get(name);
  if (!found) throw new Error(`There is no golden case ${name}.`);
  return found;
}

/** State and feeds of the first step as tensors for the graph's inputs. */
function firstFeeds(name: string, graph: Graph, state: ReadonlyMap<string, Float32Array>) {
  const feeds = goldenFeeds(caseNamed(name), 0);
  return new Map(
    graph.inputs.map(({ name: input, dtype, dims }): [string, Tensor] => [
      input,
      {
        dtype,
        dims: dims as number[],
        data: feeds.get(input) ?? state.get(input) ?? new Float32Array(),
      },
    ]),
  );
}

describe('buildTrainingGraph', () => {
  it('lists weights, statistics and moments as State, each replaced by an output', () => {
    const golden = caseNamed('cnn adamw');
    const { graph, stateSpecs, initialState, updates } = buildTrainingGraph(
      goldenForward(golden),
      goldenOptions(golden),
    );
    const names = stateSpecs.map(({ name }) => name);
    expect(names).toContain('norm_0.running_var');
    expect(names).toContain('conv_0.weight/v');
    expect(names).not.toContain('norm_0.running_var/m');
    expect([...updates.keys()].sort()).toEqual([...names].sort());
    expect([...initialState.keys()].sort()).toEqual([...names].sort());
    const outputs = new Set(graph.outputs.map(({ name }) => name));
    for (const output of updates.values()) expect(outputs.has(output)).toBe(true);
    const inputs = new Set(graph.inputs.map(({ name }) => name));
    for (const name of names) expect(inputs.has(name)).toBe(true);
    const last = graph.nodes.at(-1);
    expect([last?.domain, last?.op]).toEqual([TRAINING_DOMAIN, 'AdamW']);
    const decay = last?.attributes.get('decay_mask');
    expect(decay?.value).toEqual([1, 0, 0, 1, 0, 1, 0]);
  });

  it('draws dropout masks by the name of their layer', () => {
    const golden = caseNamed('mlp adam');
    const { graph } = buildTrainingGraph(goldenForward(golden), goldenOptions(golden));
    const [mask, ...others] = graph.nodes.filter(({ op }) => op === 'DropoutMask');
    expect(others).toEqual([]);
    expect(mask && [mask.inputs, mask.outputs]).toEqual([['dropout_key'], ['drop/mask']]);
    expect(mask && dropoutMaskSettings(mask)).toMatchObject({
      ...{ dims: [6, 7], ratio: 0.5, threshold: 2 ** 31, kept: 2, rowSize: 7 },
      purpose: purposeHash('dropout:drop'),
    });
  });

  it('freezes: no gradient, no moments, no statistics for what is not named', () => {
    const golden = caseNamed('cnn sgd');
    const options = { ...goldenOptions(golden), trainable: ['dense_0.weight', 'dense_0.bias'] };
    const { graph, stateSpecs } = buildTrainingGraph(goldenForward(golden), options);
    expect(stateSpecs.map(({ name }) => name)).toEqual([
      'dense_0.weight',
      'dense_0.bias',
      'dense_0.weight/m',
      'dense_0.bias/m',
    ]);
    const ops = graph.nodes.map(({ op }) => op);
    expect(ops).toContain('BatchNormalization');
    for (const op of ['BatchNormTrain', 'ConvGradWeight', 'ConvGradInput', 'MaxPoolGrad']) {
      expect(ops).not.toContain(op);
    }
  });

  it.each(['cnn adamw', 'mlp huber', 'mlp bce'])(
    'expands to a graph that onnxruntime runs to the same gradients: %s',
    async (name) => {
      const golden = caseNamed(name);
      const training = buildTrainingGraph(goldenForward(golden), goldenOptions(golden));
      const last = training.graph.nodes.at(-1)?.name;
      const made = new Set(training.graph.nodes.at(-1)?.outputs);
      const withoutUpdate: Graph = {
        ...training.graph,
        nodes: training.graph.nodes.filter((node) => node.name !== last),
        outputs: training.graph.outputs.filter((output) => !made.has(output.name)),
      };
      const feeds = firstFeeds(name, withoutUpdate, training.initialState);
      const reference = runGraph(withoutUpdate, feeds);
      // What has no expansion is drawn on the host.
      const hosted = withHostMasks(withoutUpdate).graph;
      const masks = hosted.inputs.filter((input) => !feeds.has(input.name));
      const drawn = runGraph({ ...withoutUpdate, outputs: masks }, feeds);
      const fed = new Map([
        ...feeds,
        ...[...drawn].map(([mask, value]) => [mask, tensorOf(value)] as const),
      ]);
      const standard = expandTrainingOps(hosted);
      for (const level of ['disabled', 'all'] as const) {
        const found = await runOnnxRuntime(standard, fed, level);
        for (const [output, value] of reference) {
          const distance = relativeDistance(found.get(output)?.data ?? [], value.data);
          expect(distance, `${output} ${level}`).toBeLessThan(1e-4);
        }
      }
    },
  );

  it('validates on onnxruntime as on the reference', async () => {
    const golden = caseNamed('cnn sgd');
    const forward = goldenForward(golden);
    const training = buildTrainingGraph(forward, goldenOptions(golden));
    const { graph, outputs } = buildValidationGraph(forward, goldenOptions(golden));
    expect(graph.outputs.map(({ name }) => name)).toEqual(outputs);
    const feeds = firstFeeds('cnn sgd', graph, training.initialState);
    const found = await runOnnxRuntime(graph, feeds);
    for (const [output, value] of runGraph(graph, feeds)) {
      expect(relativeDistance(found.get(output)?.data ?? [], value.data)).toBeLessThan(1e-5);
    }
  });

  it('says what does not fit: loss and task, width of the logits, unknown weights, other graphs', () => {
    const golden = caseNamed('mlp sgd');
    const forward = goldenForward(golden);
    const options = goldenOptions(golden);
    expect(() => buildTrainingGraph(forward, { ...options, loss: 'mse' })).toThrow(/does not fit/);
    expect(() => buildTrainingGraph(forward, { ...options, loss: 'bce' })).toThrow(/\[batch, 1\]/);
    expect(() => buildTrainingGraph(forward, { ...options, trainable: ['ghost'] })).toThrow(
      /"ghost"/,
    );
    const builder = new GraphBuilder('other');
    builder.node('Neg', [builder.input('x', 'float32', [1])], {}, { outputs: ['y'] });
    builder.output('y', 'float32', [1]);
    const weights = { ...builder.build(), initializers: forward.initializers };
    expect(() => buildTrainingGraph(weights, options)).toThrow(/"features"/);
  });
});

describe('learningRateAt', () => {
  const rate = (kind: 'constant' | 'cosine', warmup: number, step: number) =>
    learningRateAt({ learningRate: 0.1, schedule: { kind, warmup } }, step, 100);

  it('stays constant, and rises linearly while warming up', () => {
    expect(rate('constant', 0, 1)).toBe(0.1);
    expect(rate('constant', 0, 100)).toBe(0.1);
    expect(rate('constant', 0.1, 1)).toBeCloseTo(0.01, 12);
    expect(rate('constant', 0.1, 5)).toBeCloseTo(0.05, 12);
    expect(rate('constant', 0.1, 10)).toBeCloseTo(0.1, 12);
    expect(rate('constant', 0.1, 11)).toBe(0.1);
  });

  it('follows half a cosine from full after warm-up to almost nothing', () => {
    expect(rate('cosine', 0, 1)).toBe(0.1);
    expect(rate('cosine', 0, 51)).toBeCloseTo(0.05, 12);
    expect(rate('cosine', 0, 26)).toBeCloseTo(0.05 * (1 + Math.SQRT1_2), 12);
    expect(rate('cosine', 0.2, 20)).toBeCloseTo(0.1, 12);
    expect(rate('cosine', 0.2, 21)).toBeCloseTo(0.1, 12);
    expect(rate('cosine', 0.2, 61)).toBeCloseTo(0.05, 12);
    expect(rate('cosine', 0, 100)).toBeGreaterThan(0);
    expect(rate('cosine', 0, 150)).toBeCloseTo(0, 12);
  });
});
