/**
 * Numbers that onnx.proto fixes (github.com/onnx/onnx, onnx/onnx.proto): field numbers, attribute types, and
 * which opset and IR version a set of nodes needs. Only fields that we read or write, or refuse by name.
 */
import { ownValue } from '../core/own-value';
import { DTYPE_CODE } from '../core/dtype';
import type { DType } from '../core/dtype';
import type { Graph, Node } from './graph';
import { INTERNAL_OPSET } from './graph';
import { subgraphsOf } from './subgraphs';

export const MODEL = {
  irVersion: 1,
  producerName: 2,
  producerVersion: 3,
  docString: 6,
  graph: 7,
  opsetImport: 8,
  metadata: 14,
  trainingInfo: 20,
  functions: 25,
} as const;
export const OPSET = { domain: 1, version: 2 } as const;
export const ENTRY = { key: 1, value: 2 } as const;
export const GRAPH = {
  node: 1,
  name: 2,
  initializer: 5,
  docString: 10,
  input: 11,
  output: 12,
  valueInfo: 13,
  sparseInitializer: 15,
} as const;
export const NODE = {
  input: 1,
  output: 2,
  name: 3,
  op: 4,
  attribute: 5,
  domain: 7,
  overload: 8,
} as const;
export const FUNCTION = {
  name: 1,
  input: 4,
  output: 5,
  attribute: 6,
  node: 7,
  opsetImport: 9,
  domain: 10,
  attributeProto: 11,
  overload: 13,
} as const;
export const ATTRIBUTE = {
  name: 1,
  float: 2,
  int: 3,
  string: 4,
  tensor: 5,
  graph: 6,
  floats: 7,
  ints: 8,
  strings: 9,
  tensors: 10,
  graphs: 11,
  typeProto: 14,
  typeProtos: 15,
  type: 20,
  reference: 21,
  sparse: 22,
  sparses: 23,
} as const;
export const ATTRIBUTE_TYPE = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
} as const;
export const TENSOR = {
  dims: 1,
  dataType: 2,
  segment: 3,
  floatData: 4,
  int32Data: 5,
  stringData: 6,
  int64Data: 7,
  name: 8,
  rawData: 9,
  doubleData: 10,
  uint64Data: 11,
  externalData: 13,
  dataLocation: 14,
} as const;
export const VALUE = { name: 1, type: 2 } as const;
/** `others`: sequence, map, sparse tensor, optional. */
export const TYPE = { tensor: 1, elementType: 1, shape: 2, dim: 1, others: [4, 5, 8, 9] };
export const DIM = { value: 1, param: 2 } as const;

const DTYPE_OF = new Map<number, DType>();
for (const name of Object.keys(DTYPE_CODE) as DType[]) DTYPE_OF.set(DTYPE_CODE[name], name);

export function dtypeOf(code: number): DType | undefined {
  return DTYPE_OF.get(code);
}

/** Below 7 only where the operators mean the same: normalise/first.ts. */
export const OPSET_RANGE = [1, 24] as const;
export const IR_RANGE = [3, 14] as const;
/** No export goes below this opset: every runtime in use reads it. */
const EXPORT_FLOOR = 17;

/** Operators that are younger than opset 17, or whose meaning changed since, by name. */
const SINCE: Readonly<Record<string, number>> = {
  BitwiseAnd: 18,
  BitwiseNot: 18,
  BitwiseOr: 18,
  BitwiseXor: 18,
  CenterCropPad: 18,
  Col2Im: 18,
  Mish: 18,
  DeformConv: 19,
  AffineGrid: 20,
  DFT: 20,
  Gelu: 20,
  GridSample: 20,
  ImageDecoder: 20,
  RegexFullMatch: 20,
  StringConcat: 20,
  StringSplit: 20,
  GroupNormalization: 21,
  Attention: 23,
  RMSNormalization: 23,
  RotaryEmbedding: 23,
  Swish: 24,
  TensorScatter: 24,
};

/** Attributes that came later than their operator. */
const ATTRIBUTE_SINCE: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  AveragePool: { dilations: 19 },
  Cast: { saturate: 19, round_mode: 24 },
  CastLike: { saturate: 19, round_mode: 24 },
  DequantizeLinear: { block_size: 21, output_dtype: 23 },
  LpPool: { ceil_mode: 18, dilations: 18 },
  GroupNormalization: { stash_type: 21 },
  QuantizeLinear: { saturate: 19, block_size: 21, output_dtype: 21, precision: 23 },
  Resize: { antialias: 18, axes: 18, keep_aspect_ratio_policy: 18 },
  Split: { num_outputs: 18 },
};

/** Inputs that came later than their operator: nodes with more inputs than this need the opset. */
const INPUTS_SINCE: Readonly<Record<string, readonly [inputs: number, opset: number]>> = {
  Pad: [3, 18],
  ReduceL1: [1, 18],
  ReduceL2: [1, 18],
  ReduceLogSum: [1, 18],
  ReduceLogSumExp: [1, 18],
  ReduceMax: [1, 18],
  ReduceMean: [1, 18],
  ReduceMin: [1, 18],
  ReduceProd: [1, 18],
  ReduceSumSquare: [1, 18],
};

/** Attribute values that came later. */
const VALUE_SINCE: readonly (readonly [
  op: string,
  attribute: string,
  value: string | number,
  opset: number,
])[] = [
  // Before, the standard's own shape rule counted windows that begin behind the picture.
  ['AveragePool', 'ceil_mode', 1, 22],
  ['LpPool', 'ceil_mode', 1, 22],
  ['MaxPool', 'ceil_mode', 1, 22],
  ['Pad', 'mode', 'wrap', 19],
  ['Resize', 'coordinate_transformation_mode', 'half_pixel_symmetric', 19],
  ['ScatterElements', 'reduction', 'max', 18],
  ['ScatterElements', 'reduction', 'min', 18],
  ['ScatterND', 'reduction', 'max', 18],
  ['ScatterND', 'reduction', 'min', 18],
];

function opsetOfNode(node: Node): number {
  let opset = Math.max(EXPORT_FLOOR, ownValue(SINCE, node.op) ?? 0);
  const attributes = ownValue(ATTRIBUTE_SINCE, node.op);
  for (const name of node.attributes.keys()) {
    opset = Math.max(opset, (attributes && ownValue(attributes, name)) ?? 0);
    if (name === 'noop_with_empty_axes' && node.op !== 'ReduceSum') opset = Math.max(opset, 18);
  }
  const inputs = ownValue(INPUTS_SINCE, node.op);
  if (inputs && node.inputs.length > inputs[0]) opset = Math.max(opset, inputs[1]);
  for (const [op, attribute, value, since] of VALUE_SINCE) {
    if (op === node.op && node.attributes.get(attribute)?.value === value) {
      opset = Math.max(opset, since);
    }
  }
  return opset;
}

/** When operators that take any type learnt the narrow ones. Others never see them: they compute. */
const DTYPE_SINCE: Partial<Readonly<Record<DType, number>>> = {
  float8e4m3fn: 19,
  float8e4m3fnuz: 19,
  float8e5m2: 19,
  float8e5m2fnuz: 19,
  int4: 21,
  uint4: 21,
  float4e2m1: 23,
  float8e8m0: 24,
};
/** These learnt bfloat16 with opset 22; what is not here knew it before. */
const BFLOAT16_SINCE_22 =
  'Acos Acosh Asin Asinh Atan Atanh AveragePool Conv ConvTranspose Cos Cosh DeformConv Det Elu EyeLike GRU ' +
  'GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample HardSigmoid HardSwish InstanceNormalization LSTM ' +
  'LpNormalization LpPool MaxPool MaxUnpool Mish NegativeLogLikelihoodLoss RNN RoiAlign Round Selu Sin Sinh ' +
  'Softplus Softsign Tan ThresholdedRelu';

/** Types that an operator learnt later than the opset that exports begin with. */
const TYPES_SINCE: readonly (readonly [ops: string, dtypes: RegExp, opset: number])[] = [
  ['Transpose Squeeze Unsqueeze Flatten Pad QLinearMatMul', /^float8e[45]/, 21],
  [BFLOAT16_SINCE_22, /^bfloat16$/, 22],
  ['ReduceMax ReduceMin', /^bool$/, 20],
  ['QuantizeLinear DequantizeLinear', /^u?int16$/, 21],
  ['QuantizeLinear DequantizeLinear', /^b?float16$/, 19],
  ['QLinearMatMul', /^b?float16$/, 21],
  ['ConstantOfShape', /^bfloat16$/, 20],
  ['IsInf', /^b?float16$/, 20],
  ['IsInf IsNaN', /^float8/, 20],
  ['Equal', /^string$/, 19],
];
const TYPES_OF = new Map<string, (readonly [dtypes: RegExp, opset: number])[]>();
for (const [ops, dtypes, opset] of TYPES_SINCE) {
  for (const op of ops.split(' ')) {
    TYPES_OF.set(op, [...(TYPES_OF.get(op) ?? []), [dtypes, opset]]);
  }
}

/** What the element types around a node ask for, as far as the graph says them. */
function opsetOfTypes(node: Node, dtype: (name: string) => DType | undefined): number {
  let opset = 0;
  const found = [...node.inputs, ...node.outputs].map(dtype);
  const to = node.op === 'Cast' ? node.attributes.get('to') : undefined;
  if (to?.type === 'int') found.push(dtypeOf(to.value));
  for (const attribute of node.attributes.values()) {
    if (attribute.type === 'tensor') found.push(attribute.value.dtype);
  }
  for (const own of found) {
    if (own === undefined) continue;
    opset = Math.max(opset, DTYPE_SINCE[own] ?? 0);
    for (const [dtypes, since] of TYPES_OF.get(node.op) ?? []) {
      if (dtypes.test(own)) opset = Math.max(opset, since);
    }
  }
  return opset;
}

/**
 * The opset a file of this graph carries. Graphs in the internal opset get the lowest, from 17 on, whose
 * schemas fit their nodes; a graph that was read in another opset keeps it, because its nodes are of that form.
 */
export function fileOpset(graph: Graph): number {
  const own = graph.opsets.get('') ?? INTERNAL_OPSET;
  return own === INTERNAL_OPSET ? lowestOpset(graph, () => undefined) : own;
}

function lowestOpset(graph: Graph, outer: (name: string) => DType | undefined): number {
  const types = new Map<string, DType>();
  for (const [name, { dtype }] of graph.valueInfo) types.set(name, dtype);
  for (const { name, dtype, open } of [...graph.inputs, ...graph.outputs]) {
    if (open !== 'type') types.set(name, dtype);
  }
  for (const [name, { dtype }] of graph.initializers) types.set(name, dtype);
  const dtype = (name: string): DType | undefined => types.get(name) ?? outer(name);
  let opset = EXPORT_FLOOR;
  for (const own of types.values()) opset = Math.max(opset, DTYPE_SINCE[own] ?? 0);
  for (const node of graph.nodes) {
    for (const body of subgraphsOf(node)) opset = Math.max(opset, lowestOpset(body, dtype));
    if (node.domain !== '') continue;
    opset = Math.max(opset, opsetOfNode(node), opsetOfTypes(node, dtype));
  }
  return opset;
}

/** The IR version that was released with an opset; at least 4, since weights are not listed as inputs. */
export function irVersionOf(opset: number): number {
  if (opset >= 24) return 12;
  if (opset >= 23) return 11;
  if (opset >= 21) return 10;
  if (opset >= 19) return 9;
  if (opset >= 15) return 8;
  if (opset >= 12) return 7;
  if (opset >= 11) return 6;
  return opset >= 10 ? 5 : 4;
}
