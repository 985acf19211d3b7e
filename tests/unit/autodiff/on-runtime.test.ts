/** Gradients of functions, reductions, normalisations and losses run on onnxruntime, to the same numbers. */
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { attr } from '../../../src/onnx/graph';
import type { Attribute } from '../../../src/onnx/graph';
import { expandTrainingOps } from '../../../src/ops/expand-graph';
import {
  given,
  gradientGraph,
  ints,
  randomNumbers,
  tensorFeeds,
  uniform,
} from '../../support/calls';
import type { Argument, Call } from '../../support/calls';
import { runOnnxRuntime } from '../../support/onnxruntime';

const random = randomNumbers(31);
const x = (...dims: number[]): Argument => uniform(random, dims, -0.9, 0.9);
const positive = (...dims: number[]): Argument => uniform(random, dims, 1.1, 2);
const fixed = (argument: Argument): Argument => ({ ...argument, constant: true });
const integers = (values: Readonly<Record<string, number>>): Record<string, Attribute> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, attr.int(value)]));
const text = (name: string, value: string) => ({ [name]: attr.string(value) });

const CALLS: readonly (readonly [string, Call])[] = [
  ...[
    ...[
      'Abs',
      'Sign',
      'Ceil',
      'Floor',
      'Round',
      'Sin',
      'Cos',
      'Tan',
      'Asin',
      'Acos',
      'Atan',
      'Sinh',
    ],
    ...[
      'Cosh',
      'Asinh',
      'Atanh',
      'LeakyRelu',
      'ThresholdedRelu',
      'Elu',
      'Celu',
      'Selu',
      'Softsign',
    ],
    ...['HardSigmoid', 'HardSwish', 'Shrink', 'Gelu', 'Mish', 'LogSoftmax'],
  ].map((op) => [op, { op, inputs: [x(3, 4)] }] as const),
  ['Acosh', { op: 'Acosh', inputs: [positive(5)] }],
  ...['Pow', 'PRelu', 'Max', 'Sum', 'Mean', 'Div'].map(
    (op) => [op, { op, inputs: [positive(3, 4), x(4)] }] as const,
  ),
  ['Mod', { op: 'Mod', inputs: [x(4), positive()], attributes: integers({ fmod: 1 }) }],
  [
    'Clip',
    { op: 'Clip', inputs: [x(9), given('float32', [], [-0.5]), given('float32', [], [0.5])] },
  ],
  ...['Max', 'Min', 'Prod', 'L1', 'L2', 'LogSum', 'LogSumExp', 'SumSquare'].map(
    (name) =>
      [`Reduce${name}`, { op: `Reduce${name}`, inputs: [positive(3, 4), ints([1])] }] as const,
  ),
  [
    'LayerNormalization',
    { op: 'LayerNormalization', inputs: [x(3, 6), positive(6), x(6)], outputs: 3 },
  ],
  ['RMSNormalization', { op: 'RMSNormalization', inputs: [x(3, 6), positive(6)] }],
  [
    'InstanceNormalization',
    { op: 'InstanceNormalization', inputs: [x(2, 3, 5), positive(3), x(3)] },
  ],
  [
    'GroupNormalization',
    {
      op: 'GroupNormalization',
      inputs: [x(2, 6, 3), positive(6), x(6)],
      attributes: integers({ num_groups: 3 }),
    },
  ],
  ['LpNormalization', { op: 'LpNormalization', inputs: [x(3, 4)] }],
  ['MeanVarianceNormalization', { op: 'MeanVarianceNormalization', inputs: [x(2, 3, 4, 3)] }],
  ['LRN', { op: 'LRN', inputs: [x(2, 5, 3, 3)], attributes: integers({ size: 3 }) }],
  [
    'SoftmaxCrossEntropyLoss',
    {
      op: 'SoftmaxCrossEntropyLoss',
      inputs: [x(3, 4, 2), given('int32', [3, 2], [0, 3, -1, 2, 1, -1]), positive(4)],
      attributes: integers({ ignore_index: -1 }),
      outputs: 2,
    },
  ],
  [
    'Einsum',
    { op: 'Einsum', inputs: [x(2, 3, 3), x(3, 2)], attributes: text('equation', 'bii,ij->bj') },
  ],
  [
    'MatMulNBits',
    {
      op: 'MatMulNBits',
      domain: 'com.microsoft',
      inputs: [
        x(3, 32),
        fixed(
          given(
            'uint8',
            [2, 2, 8],
            Array.from({ length: 32 }, (_, i) => i * 7),
          ),
        ),
        positive(2, 2),
      ],
      attributes: integers({ K: 32, N: 2, bits: 4, block_size: 16 }),
    },
  ],
];

describe('gradients on onnxruntime', () => {
  it.each(CALLS)('%s', async (_, call) => {
    const wrt = call.inputs.flatMap((argument, index) =>
      argument?.dtype === 'float32' && !argument.constant ? [`x${index}`] : [],
    );
    const { graph, feeds } = gradientGraph(call, randomNumbers(3), wrt);
    const expected = runGraph(graph, feeds);
    const found = await runOnnxRuntime(expandTrainingOps(graph), tensorFeeds(feeds), 'disabled');
    for (const [name, value] of expected) {
      const other = found.get(name);
      expect(other?.dims, name).toEqual(value.dims);
      value.data.forEach((number, i) => {
        const error = Math.abs((other?.data[i] ?? NaN) - number);
        expect(error, `${name}[${i}]`).toBeLessThanOrEqual(1e-4 * Math.max(1, Math.abs(number)));
      });
    }
  });
});
