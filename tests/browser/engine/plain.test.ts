/** Every operator on both device executors against the reference interpreter, one node at a time. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { normals } from '../../../src/core/philox';
import { sizeOf } from '../../../src/core/dtype';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { plainRun, has } from './plain';
import { ELEMENTWISE } from '../../../src/ops/elementwise/lowering';
import { openDevice } from '../../../src/engine/device';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import type { Attribute, Graph, Tensor } from '../../../src/onnx/graph';
import { inferShapes, staticType } from '../../../src/ops/infer-shapes';
import { distance } from './support';

type Input =
  | {
      readonly dims: readonly number[];
      readonly values?: readonly number[];
      readonly map?: (x: number) => number;
    }
  | { readonly ints: readonly number[] }
  | { readonly labels: readonly number[] }
  | { readonly bools: readonly number[]; readonly dims: readonly number[] }
  | null;

interface Case {
  readonly op: string;
  readonly inputs: readonly Input[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly outputs?: number;
  readonly training?: true;
}

const x = (...dims: number[]): Input => ({ dims });
const positive = (...dims: number[]): Input => ({ dims, map: (v) => Math.abs(v) + 0.1 });
const exact = (dims: readonly number[], values: readonly number[]): Input => ({ dims, values });
const ints = (...values: number[]): Input => ({ ints: values });
const window = (kernel: number[], strides: number[], pads: number[], dilations = [1, 1]) => ({
  kernel_shape: attr.ints(kernel),
  strides: attr.ints(strides),
  pads: attr.ints(pads),
  dilations: attr.ints(dilations),
});

const unary = (op: string, input: Input = x(3, 5)): Case => ({ op, inputs: [input] });
const MIXED = exact([6], [NaN, 1, -2, 0, Infinity, -Infinity]);

const CASES: readonly Case[] = [
  ...['Neg', 'Abs', 'Exp', 'Sign', 'Erf', 'Relu', 'Tanh', 'Sigmoid', 'Softplus', 'Identity'].map(
    (op) => unary(op),
  ),
  ...['Log', 'Sqrt', 'Reciprocal'].map((op) => unary(op, positive(4, 3))),
  { op: 'Gelu', inputs: [x(4, 4)] },
  { op: 'Gelu', inputs: [x(4, 4)], attributes: { approximate: attr.string('tanh') } },
  ...['Add', 'Sub', 'Mul', 'Div'].flatMap((op): Case[] => [
    { op, inputs: [x(2, 3, 4), positive(3, 1)] },
    { op, inputs: [x(5), positive()] },
    { op, inputs: [x(1, 4), positive(3, 1)] },
  ]),
  { op: 'Pow', inputs: [positive(3, 4), x(4)] },
  { op: 'Pow', inputs: [x(3, 4), exact([], [2])] },
  { op: 'Pow', inputs: [exact([3], [-2, -1.5, 0]), exact([], [3])] },
  { op: 'Max', inputs: [x(3, 4), x(4), x(3, 1)] },
  { op: 'Min', inputs: [x(3, 4), x(1)] },
  { op: 'Clip', inputs: [x(20), exact([], [-0.5]), exact([], [0.5])] },
  { op: 'Clip', inputs: [x(20), null, exact([], [0.25])] },
  unary('IsNaN', MIXED),
  {
    op: 'Where',
    inputs: [{ bools: [1, 0, 1], dims: [3, 1] }, x(3, 4), exact([4], [NaN, 1, 2, 3])],
  },
  ...['Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual'].map((op): Case => ({
    op,
    inputs: [exact([4], [1, 2, 3, 4]), exact([2, 1], [2, 3])],
  })),
  ...['And', 'Or'].map((op): Case => ({
    op,
    inputs: [
      { bools: [1, 0], dims: [2, 1] },
      { bools: [1, 0], dims: [2] },
    ],
  })),
  { op: 'Not', inputs: [{ bools: [1, 0, 1], dims: [3] }] },
  { op: 'Cast', inputs: [exact([4], [-1.7, 0, 0.4, 2.9])], attributes: { to: attr.int(6) } },
  { op: 'Cast', inputs: [exact([3], [0, 0.5, -3])], attributes: { to: attr.int(9) } },
  { op: 'Cast', inputs: [{ bools: [1, 0], dims: [2] }], attributes: { to: attr.int(1) } },
  { op: 'Cast', inputs: [{ labels: [3, 1, 2] }], attributes: { to: attr.int(1) } },
  { op: 'MatMul', inputs: [x(5, 7), x(7, 3)] },
  { op: 'MatMul', inputs: [x(40, 300), x(300, 50)] },
  { op: 'MatMul', inputs: [x(16, 2100), x(2100, 24)] },
  { op: 'MatMul', inputs: [x(2, 3, 4, 5), x(5, 6)] },
  { op: 'MatMul', inputs: [x(2, 1, 4, 5), x(3, 5, 6)] },
  { op: 'MatMul', inputs: [x(3, 4, 5), x(3, 5, 2)] },
  { op: 'MatMul', inputs: [x(6), x(6, 3)] },
  { op: 'Gemm', inputs: [x(4, 6), x(6, 3), x(3)] },
  {
    op: 'Gemm',
    inputs: [x(6, 4), x(3, 6), x(4, 1)],
    attributes: {
      transA: attr.int(1),
      transB: attr.int(1),
      alpha: attr.float(0.5),
      beta: attr.float(2),
    },
  },
  { op: 'Gemm', inputs: [x(64, 70), x(70, 40)] },
  {
    op: 'Gemm',
    inputs: [x(130, 40), x(140, 40), x(140)],
    attributes: { transB: attr.int(1), alpha: attr.float(0.5) },
  },
  { op: 'MatMul', inputs: [x(131, 65), x(65, 133)] },
  {
    op: 'Conv',
    inputs: [x(2, 3, 7, 6), x(4, 3, 3, 3), x(4)],
    attributes: window([3, 3], [1, 1], [1, 1, 1, 1]),
  },
  {
    op: 'Conv',
    inputs: [x(2, 4, 9, 8), x(6, 2, 3, 2)],
    attributes: { ...window([3, 2], [2, 1], [0, 1, 1, 0]), group: attr.int(2) },
  },
  {
    op: 'Conv',
    inputs: [x(1, 2, 9, 9), x(3, 2, 3, 3)],
    attributes: window([3, 3], [1, 1], [2, 2, 2, 2], [2, 2]),
  },
  {
    op: 'Conv',
    inputs: [x(1, 1, 7, 7), x(2, 1, 3, 3)],
    attributes: { auto_pad: attr.string('SAME_UPPER'), strides: attr.ints([2, 2]) },
  },
  {
    op: 'Conv',
    inputs: [x(8, 1, 16, 16), x(8, 1, 3, 3), x(8)],
    attributes: window([3, 3], [1, 1], [1, 1, 1, 1]),
  },
  { op: 'MaxPool', inputs: [x(2, 3, 6, 6)], attributes: window([2, 2], [2, 2], [0, 0, 0, 0]) },
  { op: 'MaxPool', inputs: [x(2, 2, 7, 7)], attributes: window([3, 3], [2, 2], [1, 1, 1, 1]) },
  {
    op: 'AveragePool',
    inputs: [x(2, 3, 6, 6)],
    attributes: { kernel_shape: attr.ints([2, 2]), strides: attr.ints([2, 2]) },
  },
  {
    op: 'AveragePool',
    inputs: [x(1, 2, 7, 6)],
    attributes: {
      kernel_shape: attr.ints([3, 3]),
      strides: attr.ints([2, 2]),
      pads: attr.ints([1, 1, 1, 1]),
    },
  },
  {
    op: 'AveragePool',
    inputs: [x(1, 2, 7, 6)],
    attributes: {
      kernel_shape: attr.ints([3, 3]),
      strides: attr.ints([2, 2]),
      pads: attr.ints([1, 1, 1, 1]),
      count_include_pad: attr.int(1),
    },
  },
  { op: 'GlobalAveragePool', inputs: [x(3, 4, 5, 6)] },
  { op: 'BatchNormalization', inputs: [x(2, 3, 4, 4), x(3), x(3), x(3), positive(3)] },
  { op: 'Softmax', inputs: [x(3, 7)] },
  { op: 'Softmax', inputs: [x(3, 5, 2)], attributes: { axis: attr.int(1) } },
  { op: 'LogSoftmax', inputs: [{ dims: [4, 6], map: (v) => v * 40 }] },
  ...['ReduceSum', 'ReduceMean', 'ReduceMax'].flatMap((op): Case[] => [
    { op, inputs: [x(3, 4, 5), ints(1)] },
    { op, inputs: [x(3, 4, 5), ints(0, -1)], attributes: { keepdims: attr.int(0) } },
    { op, inputs: [x(6, 2, 20, 20), ints(0, 2, 3)], attributes: { keepdims: attr.int(0) } },
    { op, inputs: [x(1000)], attributes: { keepdims: attr.int(0) } },
  ]),
  {
    op: 'ArgMax',
    inputs: [exact([2, 4], [1, 3, 3, 0, -1, -5, -1, -2])],
    attributes: { axis: attr.int(1) },
  },
  { op: 'ArgMax', inputs: [x(3, 4, 2)], attributes: { axis: attr.int(1), keepdims: attr.int(0) } },
  { op: 'Reshape', inputs: [x(2, 6), ints(3, -1)] },
  { op: 'Flatten', inputs: [x(2, 3, 4)] },
  { op: 'Transpose', inputs: [x(2, 3, 4)] },
  {
    op: 'Transpose',
    inputs: [x(2, 3, 2, 2, 3, 2, 2)],
    attributes: { perm: attr.ints([1, 0, 6, 3, 2, 5, 4]) },
  },
  { op: 'Concat', inputs: [x(2, 3), x(2, 1), x(2, 4)], attributes: { axis: attr.int(1) } },
  { op: 'Slice', inputs: [x(5, 6), ints(1, -3), ints(4, 2 ** 31), ints(0, 1)] },
  { op: 'Slice', inputs: [x(5, 6), ints(4), ints(-10), ints(0), ints(-2)] },
  { op: 'Split', inputs: [x(2, 6), ints(1, 2, 3)], attributes: { axis: attr.int(1) }, outputs: 3 },
  { op: 'Expand', inputs: [x(3, 1), ints(2, 3, 4)] },
  { op: 'Squeeze', inputs: [x(1, 3, 1), ints(0)] },
  { op: 'Unsqueeze', inputs: [x(3, 2), ints(0, 3)] },
  { op: 'Gather', inputs: [x(4, 3), ints(2, 0, -1)] },
  { op: 'Gather', inputs: [x(4, 3), ints(2, 0)], attributes: { axis: attr.int(1) } },
  { op: 'OneHot', inputs: [ints(0, 2, -1), ints(4), exact([2], [0, 1])] },
  { op: 'Pad', inputs: [x(2, 3), ints(1, 0, 0, 2)] },
  { op: 'Pad', inputs: [x(2, 3), ints(0, 1, 1, 0), exact([], [1.5])] },
  { op: 'Dropout', inputs: [x(3, 3)] },
  { op: 'DropoutTrain', inputs: [x(3, 4), x(3, 4)], training: true },
  {
    op: 'SoftmaxCrossEntropy',
    inputs: [
      { dims: [4, 3], map: (v) => v * 30 },
      { labels: [2, 0, 1, 1] },
      exact([4], [1, 0.5, 2, 0]),
    ],
    outputs: 3,
    training: true,
  },
  {
    op: 'SoftmaxCrossEntropyGrad',
    inputs: [
      exact([], [0.25]),
      positive(4, 3),
      { labels: [2, 0, 1, 1] },
      exact([4], [1, 0.5, 2, 0]),
    ],
    training: true,
  },
  {
    op: 'ConvGradInput',
    inputs: [x(2, 4, 7, 6), x(4, 3, 3, 3)],
    attributes: { ...window([3, 3], [1, 1], [1, 1, 1, 1]), input_shape: attr.ints([2, 3, 7, 6]) },
    training: true,
  },
  {
    op: 'ConvGradInput',
    inputs: [x(2, 6, 4, 8), x(6, 2, 3, 2)],
    attributes: {
      ...window([3, 2], [2, 1], [0, 1, 1, 0]),
      group: attr.int(2),
      input_shape: attr.ints([2, 4, 9, 8]),
    },
    training: true,
  },
  {
    op: 'ConvGradWeight',
    inputs: [x(2, 4, 7, 6), x(2, 3, 7, 6)],
    attributes: { ...window([3, 3], [1, 1], [1, 1, 1, 1]), weight_shape: attr.ints([4, 3, 3, 3]) },
    training: true,
  },
  {
    op: 'ConvGradWeight',
    inputs: [x(2, 6, 4, 8), x(2, 4, 9, 8)],
    attributes: {
      ...window([3, 2], [2, 1], [0, 1, 1, 0]),
      group: attr.int(2),
      weight_shape: attr.ints([6, 2, 3, 2]),
    },
    training: true,
  },
  {
    op: 'ConvGradWeight',
    inputs: [x(1, 3, 9, 9), x(1, 2, 9, 9)],
    attributes: {
      ...window([3, 3], [1, 1], [2, 2, 2, 2], [2, 2]),
      weight_shape: attr.ints([3, 2, 3, 3]),
    },
    training: true,
  },
  {
    op: 'MaxPoolGrad',
    inputs: [x(2, 3, 3, 3), x(2, 3, 6, 6)],
    attributes: window([2, 2], [2, 2], [0, 0, 0, 0]),
    training: true,
  },
  {
    op: 'MaxPoolGrad',
    inputs: [x(1, 2, 4, 4), x(1, 2, 7, 7)],
    attributes: window([3, 3], [2, 2], [1, 1, 1, 1]),
    training: true,
  },
  {
    op: 'MaxPoolGrad',
    inputs: [x(1, 1, 2, 2), exact([1, 1, 4, 4], new Array<number>(16).fill(0))],
    attributes: window([2, 2], [2, 2], [0, 0, 0, 0]),
    training: true,
  },
  {
    op: 'AveragePoolGrad',
    inputs: [x(2, 3, 3, 3)],
    attributes: { ...window([2, 2], [2, 2], [0, 0, 0, 0]), input_shape: attr.ints([2, 3, 6, 6]) },
    training: true,
  },
  {
    op: 'AveragePoolGrad',
    inputs: [x(1, 2, 4, 3)],
    attributes: { ...window([3, 3], [2, 2], [1, 1, 1, 1]), input_shape: attr.ints([1, 2, 7, 6]) },
    training: true,
  },
  {
    op: 'BatchNormTrain',
    inputs: [x(4, 3, 5, 5), x(3), x(3), x(3), positive(3)],
    outputs: 5,
    training: true,
  },
  {
    op: 'BatchNormGrad',
    inputs: [x(4, 3, 5, 5), x(4, 3, 5, 5), x(3), x(3), positive(3)],
    outputs: 3,
    training: true,
  },
];

interface Built {
  readonly graph: Graph;
  readonly feeds: Map<string, Float32Array | Int32Array>;
  readonly tensors: Map<string, Tensor>;
}

function build({ op, inputs, attributes = {}, outputs = 1, training }: Case): Built {
  const builder = new GraphBuilder(op);
  const feeds = new Map<string, Float32Array | Int32Array>();
  const tensors = new Map<string, Tensor>();
  const feed = (
    name: string,
    dtype: 'float32' | 'int32',
    dims: readonly number[],
    data: Float32Array | Int32Array,
  ) => {
    feeds.set(name, data);
    tensors.set(name, { dtype, dims, data });
    return builder.input(name, dtype, dims);
  };
  const names = inputs.map((input, index): string => {
    if (input === null) return '';
    if ('ints' in input) return builder.ints(input.ints);
    if ('labels' in input)
      return feed(`in${index}`, 'int32', [input.labels.length], Int32Array.from(input.labels));
    if ('bools' in input) return builder.constant('bool', input.dims, input.bools);
    const { dims, values, map = (v: number) => v } = input;
    const data = values
      ? Float32Array.from(values)
      : normals(sizeOf(dims), 1, 5, `${op}${index}`).map(map);
    // Operators read some small inputs at compile time; those are constants here too.
    const constant = (op === 'Pad' && index === 2) || (op === 'OneHot' && index === 2);
    if (constant) return builder.initializer(`in${index}`, { dtype: 'float32', dims, data });
    return feed(`in${index}`, 'float32', dims, data);
  });
  const results = builder.nodes(
    op,
    names,
    outputs,
    attributes,
    training ? { domain: TRAINING_DOMAIN } : {},
  );
  const types = inferShapes(builder.build());
  for (const name of results) {
    const { dtype, dims } = staticType(types, name);
    builder.output(name, dtype, dims);
  }
  return { graph: builder.build(), feeds, tensors };
}


let gpu: Awaited<ReturnType<typeof openDevice>>;
beforeAll(async () => { gpu = await openDevice(); });
const MORE: Case[] = [];
for (const op of ['ReduceSum', 'ReduceMax', 'ReduceMean', 'ReduceL2', 'ReduceProd', 'ReduceSumSquare', 'ReduceLogSum', 'ReduceMin', 'ReduceL1', 'ReduceLogSumExp']) {
  for (const [dims, axes] of [[[70, 300], [0]], [[70, 300], [1]], [[5, 6, 700], [0, 2]], [[100, 3, 41], [1]], [[2, 50000], [1]], [[4000, 33], [0]], [[3,1,5],[1]], [[3,4],[]], [[600,2,200],[0,2]], [[70000],[0]], [[7, 20, 31, 33],[0,2,3]], [[256,512],[0]], [[1024,128],[1]], [[1,1],[0,1]]] as const) {
    MORE.push({ op, inputs: [{ dims, map: (v) => op === 'ReduceProd' ? 1 + v * 0.001 : Math.abs(v) }, axes.length === 0 ? { ints: [] } : ints(...axes)], ...(axes.length === 0 && { attributes: { noop_with_empty_axes: attr.int(1) } }) });
  }
}
for (const big of [9, 10]) for (const k of [2,3,9]) for (const st of [k, 2]) { if (k > big) continue;
  const o = Math.floor((big - k) / st) + 1;
  for (const op of ['MaxPoolGrad', 'AveragePoolGrad']) MORE.push({ op, training: true, inputs: op === 'MaxPoolGrad' ? [x(2,2,o,o), { dims: [2,2,big,big], map: (v) => Math.round(v * 2) }] : [x(2,2,o,o)], attributes: { ...window([k,k],[st,st],[0,0,0,0]), ...(op === 'AveragePoolGrad' && { input_shape: attr.ints([2,2,big,big]) }) } });
}
MORE.push({ op: 'MaxPool', inputs: [x(1,2,20,20)], attributes: window([9,9],[9,9],[0,0,0,0]) , outputs: 2});
MORE.push({ op: 'MaxPool', inputs: [x(1,2,20,20)], attributes: { ...window([3,3],[1,2],[1,1,1,1]), storage_order: attr.int(1) }, outputs: 2});
MORE.push({ op: 'MaxPool', inputs: [x(1,2,20)], attributes: { kernel_shape: attr.ints([3]) }});
MORE.push({ op: 'MaxPoolGrad', training: true, inputs: [x(1,2,1,1), x(1,2,12,12)], attributes: window([12,12],[12,12],[0,0,0,0])});
MORE.push({ op: 'MaxPoolGrad', training: true, inputs: [x(1,2,2,2,2), x(1,2,4,4,4)], attributes: window([2,2,2],[2,2,2],[0,0,0,0,0,0], [1,1,1])});
MORE.push({ op: 'Concat', inputs: Array.from({ length: 11 }, (_, i) => x(3, i, 2)), attributes: { axis: attr.int(1) } });
MORE.push({ op: 'Concat', inputs: [x(3, 2), x(2, 2)], attributes: { axis: attr.int(0) } });
MORE.push({ op: 'Concat', inputs: [x(3, 0), x(3, 2)], attributes: { axis: attr.int(1) } });
MORE.push({ op: 'Tile', inputs: [x(2, 3, 2), ints(2, 1, 3)] });
MORE.push({ op: 'Tile', inputs: [x(2, 3), ints(1, 1)] });
MORE.push({ op: 'Max', inputs: [x(3, 4)] });
MORE.push({ op: 'Max', inputs: Array.from({ length: 12 }, () => x(3, 4)) });
MORE.push({ op: 'Slice', inputs: [x(5, 6), ints(0, 0), ints(5, 6)] });
MORE.push({ op: 'Transpose', inputs: [x(5, 1, 6)], attributes: { perm: attr.ints([1, 0, 2]) } });
for (const mode of ['reflect', 'edge', 'wrap', 'constant']) {
  MORE.push({ op: 'Pad', inputs: [x(3, 2, 4, 5), ints(0, 0, 1, 2, 0, 0, 3, -1)], attributes: { mode: attr.string(mode) } });
  MORE.push({ op: 'Pad', inputs: [x(4), ints(3, 2)], attributes: { mode: attr.string(mode) } });
}
MORE.push({ op: 'CumSum', inputs: [x(3, 4, 5), ints(1)], attributes: { reverse: attr.int(1), exclusive: attr.int(1) } });
MORE.push({ op: 'CumSum', inputs: [x(3, 4, 5), ints(2)] });
MORE.push({ op: 'Trilu', inputs: [x(3, 4, 5), ints(1)] });
MORE.push({ op: 'Trilu', inputs: [x(3, 4, 5)], attributes: { upper: attr.int(0) } });
MORE.push({ op: 'ReverseSequence', inputs: [x(4, 3, 2), { labels: [1, 4, 2] }] });
MORE.push({ op: 'TopK', inputs: [x(4, 9, 3), ints(4)], attributes: { axis: attr.int(1) }, outputs: 2 });
MORE.push({ op: 'TopK', inputs: [x(4, 9), ints(4)], attributes: { largest: attr.int(0) }, outputs: 2 });
MORE.push({ op: 'GatherElements', inputs: [x(3, 4), { labels: [1] }] });
MORE.push({ op: 'ConstantOfShape', inputs: [ints(2000)] });
MORE.push({ op: 'RoiAlign', inputs: [x(2, 3, 9, 8), exact([2, 4], [0, 1, 5, 6, 1.5, 2, 7, 7.5]), { labels: [0, 1] }], attributes: { output_height: attr.int(3), output_width: attr.int(2), sampling_ratio: attr.int(2) } });
MORE.push({ op: 'RoiAlign', inputs: [x(2, 3, 9, 8), exact([2, 4], [0, 1, 5, 6, 1.5, 2, 7, 7.5]), { labels: [0, 1] }], attributes: { mode: attr.string('max'), output_height: attr.int(3), output_width: attr.int(2) } });
for (const op of Object.keys({ ...ELEMENTWISE })) {
  if (['Clip','Where','Cast','CastLike','Identity','Pow','BitShift','IsInf'].includes(op) || /Bitwise|And|Or|Xor|Not/.test(op)) continue;
  const two = ['Add','Sub','Mul','Div','Mod','PRelu','Min','Max','Equal','Greater','GreaterOrEqual','Less','LessOrEqual'].includes(op);
  const map = (v: number) => op === 'Acosh' ? 1 + Math.abs(v) : ['Asin','Acos','Atanh'].includes(op) ? Math.sin(v) * 0.99 : v;
  MORE.push({ op, inputs: two ? [x(3,4), x(4)] : [{ dims: [3, 7], map }], ...(op === 'Mod' && { attributes: { fmod: attr.int(1) } }) });
}
const titled = [...CASES, ...MORE].filter(({ op }) => has({ op } as never)).map((each, index) => [`${index} ${each.op}`, each] as const);
describe.each([[true, false], [false, false], [true, true], [false, true]])('software %s fusing %s', (software, fusing) => {
  it.each(titled)('%s', async (_, test) => {
    const { graph, feeds, tensors } = build(test);
    const expected = runGraph(graph, tensors);
    if (!gpu) throw new Error('no');
    const names = graph.outputs.map(({ name }) => name);
    const found = await plainRun(gpu, graph, feeds, software, fusing);
    for (const name of names) {
      const want = Array.from(expected.get(name)?.data ?? [], Number);
      const got = Array.from(found.get(name) ?? []);
      const odd = (values: number[]) => values.map((v) => (Number.isFinite(v) ? 0 : String(v)));
      expect(odd(got), name).toEqual(odd(want));
      const finite = (values: number[]) => values.map((v) => (Number.isFinite(v) ? v : 0));
      expect(distance(finite(got), finite(want)), name).toBeLessThan(2e-5);
    }
  });
});
