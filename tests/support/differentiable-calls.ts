/**
 * One call, with something to learn in it, of every operator that `differentiate` passes through: by a rule, or
 * written out. A test holds this table to the registry, so an operator cannot come without its gradient being tried.
 */
import { GraphBuilder } from '../../src/onnx/builder';
import { attr } from '../../src/onnx/graph';
import type { Attribute, Graph } from '../../src/onnx/graph';
import { distinct, given, ints, randomNumbers, uniform } from './calls';
import type { Argument, Call } from './calls';
import { awayFrom } from './gradient-check';

type Dims = readonly number[];

const random = randomNumbers(2026);
const x = (...dims: Dims): Argument => uniform(random, dims);
const positive = (...dims: Dims): Argument => uniform(random, dims, 0.4, 2);
const apart = (...dims: Dims): Argument => distinct(random, dims);
/** Away from 0, where many functions have their kink. */
const bent = (...dims: Dims): Argument => awayFrom(random, dims, [-3, -1, -0.5, 0, 0.5, 1, 3]);
const fixed = (argument: Argument): Argument => ({ ...argument, constant: true });
const indices = (dims: Dims, values: readonly number[]): Argument =>
  given('int64', dims, values, true);
const int = (values: Readonly<Record<string, number>>): Record<string, Attribute> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, attr.int(value)]));
const text = (values: Readonly<Record<string, string>>): Record<string, Attribute> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, attr.string(value)]));
const lists = (values: Readonly<Record<string, Dims>>): Record<string, Attribute> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, attr.ints(value)]));

type Rest = Omit<Call, 'op'>;
const of = (...inputs: readonly (Argument | undefined)[]): Rest => ({ inputs });

const SMOOTH = [
  ...[
    'Identity',
    'Neg',
    'Exp',
    'Erf',
    'Sin',
    'Cos',
    'Tan',
    'Atan',
    'Sinh',
    'Cosh',
    'Tanh',
    'Asinh',
  ],
  ...['Sigmoid', 'Softplus', 'Gelu', 'Mish', 'Swish', 'Softmax', 'LogSoftmax', 'CastLike'],
];
const BENT = [
  ...[
    'Abs',
    'Sign',
    'Ceil',
    'Floor',
    'Round',
    'Relu',
    'LeakyRelu',
    'ThresholdedRelu',
    'Elu',
    'Celu',
  ],
  ...['Selu', 'HardSigmoid', 'HardSwish', 'Softsign', 'Shrink'],
];
const REDUCTIONS = [
  ...['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceL1', 'ReduceL2'],
  ...['ReduceLogSum', 'ReduceLogSumExp', 'ReduceSumSquare'],
];
const WINDOW = lists({ kernel_shape: [2, 3], strides: [1, 2], pads: [1, 1, 0, 1] });

function loopBody(): Graph {
  const builder = new GraphBuilder('body');
  builder.input('round', 'int64', []);
  const condition = builder.input('going', 'bool', []);
  const state = builder.input('state', 'float32', [3]);
  builder.output(builder.node('Identity', [condition]), 'bool', []);
  const next = builder.node('Mul', [state, builder.node('Tanh', [state])]);
  builder.output(next, 'float32', [3]);
  builder.output(builder.node('Exp', [next]), 'float32', [3]);
  return builder.build();
}

function scanBody(): Graph {
  const builder = new GraphBuilder('body');
  const state = builder.input('state', 'float32', [3]);
  const row = builder.input('row', 'float32', [3]);
  const next = builder.node('Add', [builder.node('Mul', [state, row]), row]);
  builder.output(next, 'float32', [3]);
  builder.output(builder.node('Sin', [next]), 'float32', [3]);
  return builder.build();
}

const recurrent = (gates: number, states: number): Rest => ({
  inputs: [
    ...[x(3, 2, 4), x(1, gates * 3, 4), x(1, gates * 3, 3), x(1, 2 * gates * 3), undefined],
    ...Array.from({ length: states }, () => x(1, 2, 3)),
  ],
  attributes: int({ hidden_size: 3 }),
  outputs: 1 + states,
});

const TABLE: Readonly<Record<string, Rest>> = {
  ...Object.fromEntries(SMOOTH.map((op) => [op, of(x(2, 5))])),
  ...Object.fromEntries(BENT.map((op) => [op, of(bent(3, 4))])),
  ...Object.fromEntries(REDUCTIONS.map((op) => [op, of(distinctPositive(2, 3, 2), ints([-2, 0]))])),
  Log: of(positive(5)),
  Sqrt: of(positive(5)),
  Reciprocal: of(positive(5)),
  Asin: of(uniform(random, [5], -0.8, 0.8)),
  Acos: of(uniform(random, [5], -0.8, 0.8)),
  Atanh: of(uniform(random, [5], -0.8, 0.8)),
  Acosh: of(uniform(random, [5], 1.3, 3)),
  CastLike: of(x(4), fixed(x(1))),
  Cast: { ...of(x(4)), attributes: int({ to: 1 }) },
  Add: of(x(2, 1, 3), x(4, 1)),
  Sub: of(x(2, 1, 3), x(4, 1)),
  Mul: of(x(2, 1, 3), x(4, 1)),
  Div: of(x(2, 1, 3), positive(4, 1)),
  Pow: of(positive(2, 3), x(3)),
  Mod: { ...of(uniform(random, [4], 2.2, 2.8), fixed(positive(1))), attributes: int({ fmod: 1 }) },
  PRelu: of(bent(2, 3, 2), x(3, 1)),
  Min: of(apart(2, 3), fixed(given('float32', [1], [0])), shifted(2, 3)),
  Max: of(apart(2, 3), fixed(given('float32', [1], [0])), shifted(2, 3)),
  Sum: of(x(2, 3), x(3), x(2, 1)),
  Mean: of(x(2, 3), x(3), x(2, 1)),
  Where: of(given('bool', [3], [1, 0, 1]), x(2, 3), x(2, 1)),
  Clip: of(bent(3, 4), given('float32', [], [-0.5], true), given('float32', [], [0.5], true)),
  MatMul: of(x(2, 1, 2, 3), x(4, 3, 2)),
  Gemm: { ...of(x(3, 2), x(4, 3), x(4)), attributes: int({ transA: 1, transB: 1 }) },
  Einsum: { ...of(x(2, 3, 4), x(4, 2)), attributes: text({ equation: 'bij,jb->ib' }) },
  Conv: {
    ...of(x(2, 4, 4, 5), x(6, 2, 2, 3), x(6)),
    attributes: { ...WINDOW, ...int({ group: 2 }) },
  },
  ConvTranspose: {
    ...of(x(1, 4, 3, 4), x(4, 2, 2, 3), x(4)),
    attributes: { ...WINDOW, ...int({ group: 2 }) },
  },
  MaxPool: { ...of(apart(2, 2, 4, 5)), attributes: WINDOW },
  AveragePool: { ...of(x(2, 2, 4, 5)), attributes: WINDOW },
  LpPool: { ...of(positive(2, 2, 4, 5)), attributes: WINDOW },
  GlobalAveragePool: of(x(2, 3, 3, 2)),
  GlobalMaxPool: of(apart(2, 3, 3, 2)),
  GlobalLpPool: of(positive(2, 3, 3, 2)),
  MaxUnpool: {
    ...of(x(1, 1, 2, 2), indices([1, 1, 2, 2], [1, 3, 8, 15])),
    attributes: lists({ kernel_shape: [2, 2], strides: [2, 2] }),
  },
  DepthToSpace: { ...of(x(1, 8, 2, 3)), attributes: int({ blocksize: 2 }) },
  SpaceToDepth: { ...of(x(1, 2, 4, 6)), attributes: int({ blocksize: 2 }) },
  Resize: {
    ...of(x(1, 2, 3, 4), undefined, undefined, ints([1, 2, 5, 6])),
    attributes: text({ mode: 'linear' }),
  },
  GridSample: of(x(1, 2, 4, 5), uniform(random, [1, 2, 3, 2], -0.45, -0.3)),
  AffineGrid: of(x(2, 2, 3), ints([2, 1, 3, 4])),
  Col2Im: { ...of(x(1, 8, 6), ints([3, 4]), ints([2, 2])) },
  CenterCropPad: of(x(4, 3), ints([2, 5])),
  BatchNormalization: of(x(3, 2, 4), x(2), x(2), fixed(x(2)), fixed(positive(2))),
  InstanceNormalization: of(x(2, 3, 4), x(3), x(3)),
  GroupNormalization: { ...of(x(2, 4, 3), x(4), x(4)), attributes: int({ num_groups: 2 }) },
  LayerNormalization: of(x(2, 3, 4), x(4), x(4)),
  RMSNormalization: of(x(2, 3, 4), x(4)),
  LpNormalization: of(x(3, 4)),
  MeanVarianceNormalization: of(x(2, 2, 3, 2)),
  LRN: { ...of(x(2, 5, 3)), attributes: int({ size: 3 }) },
  SoftmaxCrossEntropyLoss: {
    ...of(x(4, 3), indices([4], [0, 2, 1, 2]), fixed(positive(3))),
    attributes: text({ reduction: 'mean' }),
    outputs: 2,
  },
  NegativeLogLikelihoodLoss: of(x(4, 3), indices([4], [0, 2, 1, 2])),
  Reshape: of(x(2, 6), ints([3, -1])),
  Flatten: of(x(2, 3, 2)),
  Squeeze: of(x(2, 1, 3), ints([1])),
  Unsqueeze: of(x(2, 3), ints([0, -1])),
  Transpose: { ...of(x(2, 3, 4)), attributes: lists({ perm: [2, 0, 1] }) },
  Concat: { ...of(x(2, 3), x(2, 1)), attributes: int({ axis: -1 }) },
  Slice: of(x(5, 4), ints([4]), ints([0]), ints([0]), ints([-2])),
  Split: { ...of(x(5, 2), ints([2, 3])), attributes: int({ axis: 0 }), outputs: 2 },
  Expand: of(x(3, 1), ints([2, 3, 4])),
  Gather: { ...of(x(4, 3), indices([3], [1, -1, 1])), attributes: int({ axis: 0 }) },
  GatherElements: of(x(3, 2), indices([2, 2], [0, 2, 1, 0])),
  GatherND: of(x(2, 3, 2), indices([2, 2], [0, 1, 1, 2])),
  ScatterElements: of(x(3, 2), indices([2, 2], [0, 2, 1, 0]), x(2, 2)),
  ScatterND: of(x(4, 3), indices([2, 1], [3, 0]), x(2, 3)),
  TopK: { ...of(apart(3, 5), ints([2])), outputs: 2 },
  Tile: of(x(2, 3), ints([2, 1])),
  CumSum: of(x(2, 4), indices([], [1])),
  Trilu: of(x(3, 4)),
  ReverseSequence: {
    ...of(x(4, 3, 2), indices([3], [2, 4, 1])),
    attributes: int({ time_axis: 0, batch_axis: 1 }),
  },
  Compress: { ...of(x(3, 2), given('bool', [3], [1, 0, 1], true)), attributes: int({ axis: 0 }) },
  RNN: recurrent(1, 1),
  GRU: recurrent(3, 1),
  LSTM: recurrent(4, 2),
  Attention: of(x(1, 2, 3, 4), x(1, 2, 5, 4), x(1, 2, 5, 4)),
  RotaryEmbedding: of(x(1, 2, 3, 4), x(1, 3, 2), x(1, 3, 2)),
  Loop: {
    ...of(indices([], [3]), given('bool', [], [1], true), x(3)),
    attributes: { body: attr.graph(loopBody()) },
    outputs: 2,
  },
  Scan: {
    ...of(x(3), x(4, 3)),
    attributes: { body: attr.graph(scanBody()), ...int({ num_scan_inputs: 1 }) },
    outputs: 2,
  },
  OneHot: of(indices([3], [0, 2, 1]), indices([], [4]), x(2)),
  Pad: of(x(2, 3), ints([1, 0, 0, 2]), x()),
  Dropout: of(x(2, 3)),
  DequantizeLinear: of(given('int8', [2, 3], [1, -3, 7, 0, 5, -8], true), positive()),
};

/** No ties, and none of the sums or products is near 0. */
function distinctPositive(...dims: Dims): Argument {
  const argument = distinct(random, dims);
  return { ...argument, data: argument.data.map((value) => Math.fround(value / 4 + 1.5)) };
}

function shifted(...dims: Dims): Argument {
  const argument = distinct(random, dims);
  return { ...argument, data: argument.data.map((value) => Math.fround(value + 0.05)) };
}

export const DIFFERENTIABLE_CALLS: readonly Call[] = Object.entries(TABLE).map(([op, rest]) => ({
  op,
  ...rest,
}));

/** Operators that can be written out, but only over whole numbers: there is nothing to learn in them. */
export const WITHOUT_GRADIENT: readonly string[] = [
  ...['Size', 'EyeLike', 'QuantizeLinear', 'DynamicQuantizeLinear', 'MatMulInteger', 'ConvInteger'],
  ...['QLinearMatMul', 'QLinearConv', 'Hardmax'],
];
