/** Every expansion says on onnxruntime what the reference kernel says, with graph optimisation and without. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import type { Graph } from '../../../src/onnx/graph';
import { expandTrainingOps } from '../../../src/ops/expand-graph';
import { ALL_OPS } from '../../../src/ops/registry';
import {
  callGraph,
  given,
  gradientGraph,
  randomNumbers,
  tensorFeeds,
  uniform,
} from '../../support/calls';
import type { Call } from '../../support/calls';
import { runOnnxRuntime } from '../../support/onnxruntime';
import { attentionCalls } from '../../support/training-calls';
import { windowArbitrary, windowCall } from '../../support/windows';

const expanded = new Set<string>();

async function expectSame(
  graph: Graph,
  feeds: ReturnType<typeof callGraph>['feeds'],
): Promise<void> {
  for (const node of graph.nodes) {
    if (node.domain === TRAINING_DOMAIN) expanded.add(node.op);
  }
  const standard = expandTrainingOps(graph);
  expect(standard.nodes.filter(({ domain }) => domain === TRAINING_DOMAIN)).toEqual([]);
  const reference = runGraph(graph, feeds);
  for (const level of ['disabled', 'all'] as const) {
    const found = await runOnnxRuntime(standard, tensorFeeds(feeds), level);
    for (const [name, value] of reference) {
      const other = found.get(name);
      expect(other?.dims, `${name} ${level}`).toEqual(value.dims);
      value.data.forEach((x, i) => {
        const error = Math.abs((other?.data[i] ?? NaN) - x);
        expect(error, `${name}[${i}] ${level}: ${other?.data[i]} for ${x}`).toBeLessThanOrEqual(
          1e-4 * Math.max(1, Math.abs(x)),
        );
      });
    }
  }
}

/** The call's gradients, which use the training operators. */
function expectSameGradients(call: Call, seed: number): Promise<void> {
  const wrt = call.inputs.flatMap((argument, index) =>
    argument?.dtype === 'float32' && !argument.constant ? [`x${index}`] : [],
  );
  const { graph, feeds } = gradientGraph(call, randomNumbers(seed), wrt);
  return expectSame(graph, feeds);
}

describe('expansions on onnxruntime', () => {
  it.each(['Conv', 'ConvTranspose', 'MaxPool', 'AveragePool', 'LpPool'] as const)(
    'gradients of %s over random windows',
    (op) =>
      fc.assert(
        fc.asyncProperty(windowArbitrary, async (window) => {
          const call = windowCall(op, window);
          await expectSameGradients(call, window.seed);
        }),
        { numRuns: 25 },
      ),
  );

  // From eight channels on, the gradient of the weight is written as matrix products.
  it('gradients of Conv with many channels', () =>
    fc.assert(
      fc.asyncProperty(windowArbitrary, async (window) => {
        const call = windowCall('Conv', { ...window, group: 1, channels: 8 });
        await expectSameGradients(call, window.seed);
      }),
      { numRuns: 20 },
    ));

  it('AveragePool that tiles the picture', () =>
    expectSameGradients(
      {
        op: 'AveragePool',
        inputs: [uniform(randomNumbers(1), [2, 3, 4, 6])],
        attributes: { kernel_shape: attr.ints([2, 3]), strides: attr.ints([2, 3]) },
      },
      1,
    ));

  it('MaxPool gives ties to the first', async () => {
    const call: Call = {
      op: 'MaxPoolGrad',
      domain: TRAINING_DOMAIN,
      inputs: [
        given('float32', [1, 1, 2, 2], [1, 2, 3, 4]),
        given('float32', [1, 1, 3, 3], [7, 7, 7, 7, 7, 7, 7, 7, 7]),
      ],
      attributes: { kernel_shape: attr.ints([2, 2]) },
    };
    const { graph, feeds } = callGraph(call);
    const [dx] = runGraph(graph, feeds).values();
    expect(Array.from(dx?.data ?? [])).toEqual([1, 2, 0, 3, 4, 0, 0, 0, 0]);
    await expectSame(graph, feeds);
  });

  it.each([[[4, 3]], [[3, 2, 4, 5]]])('BatchNormTrain and its gradient, shape %j', async (dims) => {
    const random = randomNumbers(3);
    const channels = [dims[1] ?? 1];
    const call: Call = {
      op: 'BatchNormTrain',
      domain: TRAINING_DOMAIN,
      inputs: [
        uniform(random, dims, -2, 4),
        uniform(random, channels),
        uniform(random, channels),
        { ...uniform(random, channels), constant: true },
        { ...uniform(random, channels, 0.5, 2), constant: true },
      ],
      attributes: { epsilon: attr.float(1e-3), momentum: attr.float(0.8) },
      outputs: 5,
    };
    const { graph, feeds } = callGraph(call);
    await expectSame(graph, feeds);
    await expectSameGradients(call, 5);
  });

  it('DropoutTrain', () =>
    expectSameGradients(
      {
        op: 'DropoutTrain',
        domain: TRAINING_DOMAIN,
        inputs: [
          uniform(randomNumbers(1), [2, 3]),
          given('float32', [2, 3], [0, 2, 2, 0, 2, 0], true),
        ],
      },
      1,
    ));

  it.each(['LayerNormalization', 'RMSNormalization'])('%s', async (op) => {
    const random = randomNumbers(12);
    for (const axis of [1, 2]) {
      const own = [4, 5].slice(axis - 1);
      const parameters = [uniform(random, own), uniform(random, own)];
      const inputs = [uniform(random, [3, 4, 5], -2, 3), ...parameters];
      const call: Call = {
        op,
        inputs: op === 'LayerNormalization' ? inputs : inputs.slice(0, 2),
        attributes: { axis: attr.int(axis), epsilon: attr.float(1e-3) },
      };
      await expectSameGradients(call, 7);
    }
  });

  it('Attention in every form that has one node for its gradient', async () => {
    for (const call of attentionCalls()) await expectSameGradients(call, 4);
  });

  it.each(['Gelu', 'Mish', 'HardSwish', 'Swish', 'Softmax'])('%s', (op) =>
    expectSameGradients({ op, inputs: [uniform(randomNumbers(2), [3, 8], -5, 5)] }, 8),
  );

  it('Gather along the first axis', async () => {
    const data = uniform(randomNumbers(4), [5, 3]);
    const indices = given('int32', [2, 3], [4, 0, 4, 1, -1, 4], true);
    await expectSameGradients({ op: 'Gather', inputs: [data, indices] }, 6);
  });

  it('SoftmaxCrossEntropy, weighted, with large logits', async () => {
    const call: Call = {
      op: 'SoftmaxCrossEntropy',
      domain: TRAINING_DOMAIN,
      inputs: [
        uniform(randomNumbers(8), [4, 3], -40, 40),
        given('int32', [4], [0, 2, 1, 2]),
        given('float32', [4], [1, 0.5, 0, 2], true),
      ],
      outputs: 3,
    };
    const { graph, feeds } = callGraph(call);
    await expectSame(graph, feeds);
    await expectSameGradients(call, 2);
  });

  it('has been tried for every operator that has one', () => {
    const training = ALL_OPS.filter(({ domain }) => domain === TRAINING_DOMAIN);
    const all = training.filter(({ expand }) => expand).map(({ name }) => name);
    expect([...expanded].sort()).toEqual(all.sort());
  });
});
