/**
 * Functions, reductions, normalisations, losses and quantised operators on the graphics processor, and the gradients
 * of those that are written in others, against the reference interpreter: settings that ONNX's own tests lack.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { attr } from '../../../src/onnx/graph';
import type { Attribute, Graph } from '../../../src/onnx/graph';
import { valueOf } from '../../../src/ops/value';
import {
  callGraph,
  distinct,
  given,
  gradientGraph,
  ints,
  randomNumbers,
  tensorFeeds,
  uniform,
} from '../../support/calls';
import type { Argument, Call } from '../../support/calls';
import { distance } from './support';

const random = randomNumbers(21);
const x = (...dims: number[]): Argument => uniform(random, dims, -2, 2);
const positive = (...dims: number[]): Argument => uniform(random, dims, 0.2, 2);
const whole = (dtype: Argument['dtype'], dims: readonly number[], low: number, high: number) => {
  const { data } = uniform(random, dims, low, high + 1);
  return { dtype, dims, data: data.map(Math.floor) };
};
const floats = (values: Readonly<Record<string, number>>): Record<string, Attribute> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, attr.float(value)]));
const integers = (values: Readonly<Record<string, number>>): Record<string, Attribute> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, attr.int(value)]));
const text = (name: string, value: string) => ({ [name]: attr.string(value) });
const fixed = (argument: Argument): Argument => ({ ...argument, constant: true });

const odd = given('float32', [6], [NaN, Infinity, -Infinity, 0, -0.5, 3]);
const tiny = given('float32', [6], [1e-5, -1e-5, -12, -16, 40, -40]);
const byte = () => whole('uint8', [4, 3], 0, 255);

const CALLS: readonly (readonly [string, Call])[] = [
  ...['Relu', 'Abs', 'IsInf', 'Tanh', 'LeakyRelu', 'Softsign', 'Round', 'Floor'].map(
    (op) => [`${op} of NaN and infinities`, { op, inputs: [odd] }] as const,
  ),
  ...['Mish', 'Softplus', 'Elu', 'Selu', 'Celu', 'Swish', 'Gelu', 'Asinh', 'Sinh'].map(
    (op) => [`${op} of very small and large numbers`, { op, inputs: [tiny] }] as const,
  ),
  ['Swish, alpha 2', { op: 'Swish', inputs: [x(7)], attributes: floats({ alpha: 2 }) }],
  ['Shrink', { op: 'Shrink', inputs: [x(9)], attributes: floats({ lambd: 0.7, bias: 0.3 }) }],
  ['Max of ten inputs', { op: 'Max', inputs: Array.from({ length: 10 }, () => x(3, 4)) }],
  ['Mean of three inputs', { op: 'Mean', inputs: [x(3, 1), x(4), x(2, 3, 4)] }],
  ...['Add', 'Sub', 'Mul'].map(
    (op) => [`${op} of bytes wraps`, { op, inputs: [byte(), byte()] }] as const,
  ),
  ['Neg of int8 wraps', { op: 'Neg', inputs: [given('int8', [2], [-128, 5])] }],
  ['BitwiseNot of a byte', { op: 'BitwiseNot', inputs: [byte()] }],
  [
    'BitShift of a byte',
    {
      op: 'BitShift',
      inputs: [byte(), whole('uint8', [3], 0, 4)],
      attributes: text('direction', 'LEFT'),
    },
  ],
  [
    'Div of integers',
    { op: 'Div', inputs: [whole('int32', [9], -20, 20), given('int32', [], [3])] },
  ],
  [
    'Mod of integers',
    { op: 'Mod', inputs: [whole('int32', [9], -20, 20), given('int32', [], [-3])] },
  ],
  ...[
    ['float16', 10],
    ['bfloat16', 16],
    ['float8e4m3fn', 17],
    ['float8e4m3fnuz', 18],
    ['float8e5m2', 19],
    ['float8e5m2fnuz', 20],
    ['int8', 3],
    ['int4', 22],
  ].map(
    ([name = '', to]) =>
      [
        `Cast to ${name}`,
        {
          op: 'Cast',
          inputs: [given('float32', [8], [0.1, -0.3, 1.0625, 3.3, -77, 100, 0.001, 0])],
          attributes: integers({ to: Number(to) }),
        },
      ] as const,
  ),
  ...['Sum', 'Mean', 'Max', 'Min', 'Prod', 'L1', 'L2', 'LogSum', 'LogSumExp', 'SumSquare'].flatMap(
    (name) =>
      [
        [[3, 4, 5], [1]],
        // Few outputs of many elements: summed in parts.
        [[2, 300], [1]],
        [[2, 300], []],
      ].map(
        ([dims = [], axes = []]) =>
          [
            `Reduce${name} of ${JSON.stringify(dims)} over ${JSON.stringify(axes)}`,
            {
              op: `Reduce${name}`,
              inputs: [uniform(random, dims, 0.9, 1.1), ints(axes)],
              attributes: integers({ keepdims: axes.length }),
            },
          ] as const,
      ),
  ),
  ['ReduceMax of -∞', { op: 'ReduceMax', inputs: [given('float32', [2], [-Infinity, -Infinity])] }],
  [
    'ReduceSum of integers',
    { op: 'ReduceSum', inputs: [whole('int32', [3, 200], -9e6, 9e6), ints([1])] },
  ],
  [
    'ReduceProd of integers',
    { op: 'ReduceProd', inputs: [whole('int32', [3, 4], 1, 9), ints([0])] },
  ],
  [
    'ArgMin, the last',
    {
      op: 'ArgMin',
      inputs: [whole('int32', [4, 6], 0, 3)],
      attributes: integers({ axis: -1, select_last_index: 1 }),
    },
  ],
  [
    'Softmax of a closed row',
    { op: 'Softmax', inputs: [given('float32', [2, 2], [-Infinity, 0, -Infinity, 1])] },
  ],
  [
    'Hardmax',
    { op: 'Hardmax', inputs: [distinct(random, [3, 4])], attributes: integers({ axis: 0 }) },
  ],
  [
    'MatMul of integers',
    {
      op: 'MatMul',
      inputs: [whole('int32', [5, 33], -9e4, 9e4), whole('int32', [33, 6], -99, 99)],
    },
  ],
  [
    'MatMulInteger',
    {
      op: 'MatMulInteger',
      inputs: [
        whole('uint8', [9, 300], 0, 255),
        whole('int8', [300, 7], -128, 127),
        given('uint8', [], [128], true),
        fixed(whole('int8', [7], -5, 5)),
      ],
    },
  ],
  ['EyeLike', { op: 'EyeLike', inputs: [x(3, 4)], attributes: integers({ k: 1 }) }],
  [
    'QuantizeLinear to float8',
    {
      op: 'QuantizeLinear',
      inputs: [x(6), given('float32', [], [0.01], true)],
      attributes: integers({ output_dtype: 17 }),
    },
  ],
  [
    'DequantizeLinear in blocks',
    {
      op: 'DequantizeLinear',
      inputs: [
        whole('int4', [2, 5], -8, 7),
        fixed(positive(2, 3)),
        fixed(whole('int4', [2, 3], -2, 2)),
      ],
      attributes: integers({ axis: 1, block_size: 2 }),
    },
  ],
];

/** Those that are differentiated through their expansion, or by rules of several nodes. */
const LEARNED: readonly (readonly [string, Call])[] = [
  [
    'ReduceProd with zeros',
    { op: 'ReduceProd', inputs: [given('float32', [2, 3], [1, 0, 2, 3, 4, 5]), ints([1])] },
  ],
  ['ReduceLogSumExp', { op: 'ReduceLogSumExp', inputs: [x(3, 4), ints([1])] }],
  ['PRelu', { op: 'PRelu', inputs: [x(2, 3, 4), x(3, 1)] }],
  [
    'Clip',
    { op: 'Clip', inputs: [x(9), given('float32', [], [-0.5]), given('float32', [], [0.5])] },
  ],
  [
    'LayerNormalization',
    { op: 'LayerNormalization', inputs: [x(3, 4, 6), positive(6), x(6)], outputs: 3 },
  ],
  ['RMSNormalization', { op: 'RMSNormalization', inputs: [x(3, 4, 6), positive(6)] }],
  [
    'InstanceNormalization',
    { op: 'InstanceNormalization', inputs: [x(2, 3, 4, 5), positive(3), x(3)] },
  ],
  [
    'GroupNormalization',
    {
      op: 'GroupNormalization',
      inputs: [x(2, 6, 4, 3), positive(6), x(6)],
      attributes: integers({ num_groups: 3 }),
    },
  ],
  [
    'BatchNormalization in training mode',
    {
      op: 'BatchNormalization',
      inputs: [x(4, 3, 5), positive(3), x(3), fixed(x(3)), fixed(positive(3))],
      attributes: integers({ training_mode: 1 }),
      outputs: 3,
    },
  ],
  ['LpNormalization', { op: 'LpNormalization', inputs: [x(3, 4)] }],
  ['MeanVarianceNormalization', { op: 'MeanVarianceNormalization', inputs: [x(2, 3, 4, 3)] }],
  [
    'LRN',
    {
      op: 'LRN',
      inputs: [x(2, 5, 3, 3)],
      attributes: { ...integers({ size: 3 }), ...floats({ alpha: 0.5 }) },
    },
  ],
  [
    'SoftmaxCrossEntropyLoss',
    {
      op: 'SoftmaxCrossEntropyLoss',
      inputs: [x(3, 4, 2), given('int32', [3, 2], [0, 3, -1, 2, 1, -1]), positive(4)],
      attributes: integers({ ignore_index: -1 }),
      outputs: 2,
    },
  ],
  ...[
    ['bij,bjk->bik', [2, 3, 4], [2, 4, 5]],
    ['...ii,...i->...', [2, 3, 3], [3]],
    ['ij,kj->ki', [3, 4], [5, 4]],
  ].map(
    ([equation, a, b]) =>
      [
        `Einsum ${String(equation)}`,
        {
          op: 'Einsum',
          inputs: [x(...(a as number[])), x(...(b as number[]))],
          attributes: text('equation', String(equation)),
        },
      ] as const,
  ),
  [
    'MatMulNBits',
    {
      op: 'MatMulNBits',
      domain: 'com.microsoft',
      inputs: [
        x(3, 40),
        fixed(whole('uint8', [5, 3, 8], 0, 255)),
        positive(5, 3),
        fixed(whole('uint8', [5, 2], 0, 255)),
      ],
      attributes: integers({ K: 40, N: 5, bits: 4, block_size: 16 }),
    },
  ],
];

let executor: WebgpuExecutor;
beforeAll(async () => {
  executor = await createWebgpuExecutor();
});
afterAll(() => executor.dispose());

async function expectSame(graph: Graph, feeds: ReturnType<typeof callGraph>['feeds']) {
  const expected = runGraph(graph, feeds);
  const found = await executor.evaluate(graph, tensorFeeds(feeds));
  for (const [name, value] of expected) {
    const other = found.get(name);
    if (!other) throw new Error(`There is no ${name}.`);
    expect(other.dims, name).toEqual(value.dims);
    expect(other.dtype, name).toBe(value.dtype);
    const [want, got] = [Array.from(value.data), Array.from(valueOf(other).data)];
    // NaN and infinities stand where they stand in the reference; the rest is compared as numbers.
    const special = (values: number[]) => values.map((v) => (Number.isFinite(v) ? 0 : String(v)));
    expect(special(got), name).toEqual(special(want));
    const finite = (values: number[]) => values.map((v) => (Number.isFinite(v) ? v : 0));
    expect(distance(finite(got), finite(want)), `${name}: ${got.join()}`).toBeLessThan(2e-5);
  }
}

describe('values on the graphics processor', () => {
  it.each([...CALLS, ...LEARNED])('%s', async (_, call) => {
    const { graph, feeds } = callGraph(call);
    await expectSame(graph, feeds);
  });

  it('leaves nothing behind', async () => {
    const before = executor.memory.buffers;
    for (const [, call] of LEARNED) {
      const { graph, feeds } = callGraph(call);
      await executor.evaluate(graph, tensorFeeds(feeds));
    }
    expect(executor.memory.buffers).toBe(before);
  });
});

describe('gradients on the graphics processor', () => {
  it.each(LEARNED)('%s', async (_, call) => {
    const wrt = call.inputs.flatMap((argument, index) =>
      argument?.dtype === 'float32' && !argument.constant ? [`x${index}`] : [],
    );
    const { graph, feeds } = gradientGraph(call, randomNumbers(5), wrt);
    await expectSame(graph, feeds);
  });
});
