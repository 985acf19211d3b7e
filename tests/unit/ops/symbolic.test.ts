/** Shape rules carry symbolic lengths through, and refuse what cannot fit whatever those become. */
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import type { DType } from '../../../src/core/dtype';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Attribute, Dim, TensorType } from '../../../src/onnx/graph';
import { inferShapes } from '../../../src/ops/infer-shapes';

type Input = readonly [DType, readonly Dim[]] | readonly number[] | null;

interface Rule {
  readonly op: string;
  readonly inputs: readonly Input[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly domain?: string;
}

const isType = (input: readonly unknown[]): input is readonly [DType, readonly Dim[]] =>
  typeof input[0] === 'string';

/** Types of the node's outputs. Lists of numbers among the inputs are constants. */
function typesOf(
  { op, inputs, attributes = {}, domain = '' }: Rule,
  outputs: number,
): TensorType[] {
  const builder = new GraphBuilder('rule');
  const names = inputs.map((input, index) => {
    if (input === null) return '';
    if (!isType(input)) return builder.ints(input);
    return builder.input(`x${index}`, input[0], input[1]);
  });
  const results = builder.nodes(op, names, outputs, attributes, { domain, name: 'node' });
  const types = inferShapes(builder.build());
  return results.map((name) => types.get(name) as TensorType);
}

const f = (...dims: Dim[]) => ['float32', dims] as const;
const i = (...dims: Dim[]) => ['int64', dims] as const;
const u8 = (...dims: Dim[]) => ['uint8', dims] as const;
const ints = (values: Readonly<Record<string, number>>): Record<string, Attribute> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, attr.int(value)]));
const equation = (value: string) => ({ equation: attr.string(value) });

const RULES: readonly (readonly [Rule, ...(readonly Dim[])[]])[] = [
  [{ op: 'Sin', inputs: [f('n', 3)] }, ['n', 3]],
  [{ op: 'IsInf', inputs: [f('n', 3)] }, ['n', 3]],
  [{ op: 'Add', inputs: [f('n', 1, 3), f(4, 1)] }, ['n', 4, 3]],
  [{ op: 'Max', inputs: [f('n', 3), f(3), f(1, 1)] }, ['n', 3]],
  [{ op: 'PRelu', inputs: [f('n', 4, 2), f(4, 1)] }, ['n', 4, 2]],
  [{ op: 'Clip', inputs: [f('n'), f(), null] }, ['n']],
  [{ op: 'CastLike', inputs: [f('n', 2), u8(1)] }, ['n', 2]],
  [{ op: 'ReduceSum', inputs: [f('n', 3, 4), [1]] }, ['n', 1, 4]],
  [{ op: 'ReduceLogSumExp', inputs: [f('n', 3), [0]], attributes: ints({ keepdims: 0 }) }, [3]],
  [
    { op: 'ReduceMax', inputs: [f('n', 3), []], attributes: ints({ noop_with_empty_axes: 1 }) },
    ['n', 3],
  ],
  [{ op: 'ReduceMean', inputs: [f('n', 3), i(0)] }, [1, 1]],
  [{ op: 'ReduceProd', inputs: [f('n', 3), i(1)] }, ['node_0', 'node_1']],
  [{ op: 'ReduceProd', inputs: [f('n', 3), i(1)], attributes: ints({ keepdims: 0 }) }, ['node_0']],
  [{ op: 'ArgMin', inputs: [f('n', 3, 4)], attributes: ints({ axis: -1, keepdims: 0 }) }, ['n', 3]],
  [{ op: 'MatMul', inputs: [f('n', 2, 3), f(3, 'm')] }, ['n', 2, 'm']],
  [{ op: 'Gemm', inputs: [f('n', 3), f(4, 3), f(4)], attributes: ints({ transB: 1 }) }, ['n', 4]],
  [{ op: 'Einsum', inputs: [f('n', 'k'), f('k', 'm')], attributes: equation('ij,jk') }, ['n', 'm']],
  [
    { op: 'Einsum', inputs: [f('n', 2, 3), f(1, 3, 2)], attributes: equation('...ij,...ji->...') },
    ['n'],
  ],
  [{ op: 'Det', inputs: [f('n', 3, 3)] }, ['n']],
  [{ op: 'Softmax', inputs: [f('n', 3)] }, ['n', 3]],
  [{ op: 'Hardmax', inputs: [f('n', 3)] }, ['n', 3]],
  [
    { op: 'LayerNormalization', inputs: [f('n', 't', 8), f(8), f(8)] },
    ['n', 't', 8],
    ['n', 't', 1],
    ['n', 't', 1],
  ],
  [{ op: 'RMSNormalization', inputs: [f('n', 't', 8), f(8)] }, ['n', 't', 8]],
  [{ op: 'InstanceNormalization', inputs: [f('n', 'c', 5), f('c'), f('c')] }, ['n', 'c', 5]],
  [
    {
      op: 'GroupNormalization',
      inputs: [f('n', 4, 'h', 'w'), f(4), f(4)],
      attributes: ints({ num_groups: 2 }),
    },
    ['n', 4, 'h', 'w'],
  ],
  [
    {
      op: 'BatchNormalization',
      inputs: [f('n', 4), f(4), f(4), f(4), f(4)],
      attributes: ints({ training_mode: 1 }),
    },
    ['n', 4],
    [4],
    [4],
  ],
  [{ op: 'LRN', inputs: [f('n', 4, 'h')], attributes: ints({ size: 3 }) }, ['n', 4, 'h']],
  [{ op: 'LpNormalization', inputs: [f('n', 4)] }, ['n', 4]],
  [{ op: 'MeanVarianceNormalization', inputs: [f('n', 4, 2, 2)] }, ['n', 4, 2, 2]],
  [
    {
      op: 'SoftmaxCrossEntropyLoss',
      inputs: [f('n', 4, 't'), i('n', 't')],
      attributes: { reduction: attr.string('none') },
    },
    ['n', 't'],
    ['n', 4, 't'],
  ],
  [{ op: 'NegativeLogLikelihoodLoss', inputs: [f('n', 4), i('n')] }, []],
  [{ op: 'QuantizeLinear', inputs: [f('n', 4), f(4), u8(4)] }, ['n', 4]],
  [
    {
      op: 'DequantizeLinear',
      inputs: [u8('n', 6), f('n', 2)],
      attributes: ints({ block_size: 3 }),
    },
    ['n', 6],
  ],
  [{ op: 'DynamicQuantizeLinear', inputs: [f('n', 4)] }, ['n', 4], [], []],
  [{ op: 'MatMulInteger', inputs: [u8('n', 3), u8(3, 4)] }, ['n', 4]],
  [
    {
      op: 'MatMulNBits',
      domain: 'com.microsoft',
      inputs: [f('n', 't', 32), u8(5, 2, 8), f(10)],
      attributes: ints({ K: 32, N: 5, bits: 4, block_size: 16 }),
    },
    ['n', 't', 5],
  ],
  [{ op: 'Size', inputs: [f('n', 4)] }, []],
  [{ op: 'EyeLike', inputs: [f('n', 'n')] }, ['n', 'n']],
  [{ op: 'Range', inputs: [f(), f(), f()] }, ['node_length']],
];

const REFUSED: readonly (readonly [string, Rule])[] = [
  ['shapes that do not broadcast', { op: 'Mul', inputs: [f('n', 3), f(4)] }],
  ['a slope wider than the input', { op: 'PRelu', inputs: [f('n'), f(2, 3)] }],
  ['an axis out of range', { op: 'ReduceL1', inputs: [f('n', 3), [2]] }],
  ['inner lengths that differ', { op: 'MatMul', inputs: [f('n', 3), f(4, 2)] }],
  ['matrices that are not square', { op: 'Det', inputs: [f('n', 2, 3)] }],
  [
    'two lengths of one label',
    { op: 'Einsum', inputs: [f('n', 3), f(4)], attributes: equation('ij,j') },
  ],
  ['a scale that does not fit', { op: 'LayerNormalization', inputs: [f('n', 8), f(7)] }],
  [
    'channels that make no groups',
    {
      op: 'GroupNormalization',
      inputs: [f('n', 4), f(4), f(4)],
      attributes: ints({ num_groups: 3 }),
    },
  ],
  [
    'labels of another shape',
    { op: 'NegativeLogLikelihoodLoss', inputs: [f('n', 4, 5), i('n', 6)] },
  ],
  [
    'weights of another number',
    { op: 'SoftmaxCrossEntropyLoss', inputs: [f('n', 4), i('n'), f(3)] },
  ],
  ['scales of another number', { op: 'QuantizeLinear', inputs: [f('n', 4), f(3)] }],
  [
    'blocks of another number',
    {
      op: 'DequantizeLinear',
      inputs: [u8('n', 6), f('n', 4)],
      attributes: ints({ block_size: 3 }),
    },
  ],
  [
    'a norm that is not defined',
    { op: 'LpNormalization', inputs: [f('n', 4)], attributes: ints({ p: 3 }) },
  ],
  [
    'weights of 3 bits',
    {
      op: 'MatMulNBits',
      domain: 'com.microsoft',
      inputs: [f('n', 32), u8(5, 2, 6), f(10)],
      attributes: ints({ K: 32, N: 5, bits: 3, block_size: 16 }),
    },
  ],
];

describe('shape rules', () => {
  it.each(RULES.map(([rule, ...dims]) => [rule.op, rule, dims] as const))('%s', (_, rule, dims) => {
    expect(typesOf(rule, dims.length).map((type) => type.dims)).toEqual(dims);
  });

  it.each(REFUSED)('refuse %s, naming the node', (_, rule) => {
    let error: unknown;
    try {
      typesOf(rule, 1);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(AppError);
    expect((error as AppError).code).toMatch(/^onnx\//);
    expect((error as AppError).message).toContain('"node"');
  });
});
