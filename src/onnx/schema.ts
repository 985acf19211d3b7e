/**
 * Numbers that onnx.proto fixes (github.com/onnx/onnx, onnx/onnx.proto): field numbers, attribute types, and
 * which opset and IR version a set of nodes needs. Only fields that we read or write, or refuse by name.
 */
import { DTYPE_CODE } from '../core/dtype';
import type { DType } from '../core/dtype';
import type { Graph, Node } from './graph';
import { INTERNAL_OPSET } from './graph';

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
};

/** Attributes that came later than their operator. */
const ATTRIBUTE_SINCE: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  AveragePool: { dilations: 19 },
  Cast: { saturate: 19 },
  CastLike: { saturate: 19 },
  DequantizeLinear: { block_size: 21, output_dtype: 23 },
  LpPool: { ceil_mode: 18, dilations: 18 },
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
  let opset = Math.max(EXPORT_FLOOR, SINCE[node.op] ?? 0);
  const attributes = ATTRIBUTE_SINCE[node.op];
  for (const name of node.attributes.keys()) {
    opset = Math.max(opset, attributes?.[name] ?? 0);
    if (name === 'noop_with_empty_axes' && node.op !== 'ReduceSum') opset = Math.max(opset, 18);
  }
  const inputs = INPUTS_SINCE[node.op];
  if (inputs && node.inputs.length > inputs[0]) opset = Math.max(opset, inputs[1]);
  for (const [op, attribute, value, since] of VALUE_SINCE) {
    if (op === node.op && node.attributes.get(attribute)?.value === value) {
      opset = Math.max(opset, since);
    }
  }
  return opset;
}

/** int16 and uint16 quantisation came with opset 21. */
function quantisesTo16Bits(graph: Graph, node: Node): boolean {
  if (node.op !== 'QuantizeLinear' && node.op !== 'DequantizeLinear') return false;
  const zeroPoint = graph.initializers.get(node.inputs[2] ?? '')?.dtype;
  return zeroPoint === 'int16' || zeroPoint === 'uint16';
}

/**
 * The opset a file of this graph carries. Graphs in the internal opset get the lowest, from 17 on, whose
 * schemas fit their nodes; a graph that was read in another opset keeps it, because its nodes are of that form.
 */
export function fileOpset(graph: Graph): number {
  const own = graph.opsets.get('') ?? INTERNAL_OPSET;
  if (own !== INTERNAL_OPSET) return own;
  let opset = EXPORT_FLOOR;
  for (const node of graph.nodes) {
    if (node.domain !== '') continue;
    opset = Math.max(opset, opsetOfNode(node));
    if (quantisesTo16Bits(graph, node)) opset = Math.max(opset, 21);
  }
  return opset;
}

/** The IR version that was released with an opset; at least 4, since weights are not listed as inputs. */
export function irVersionOf(opset: number): number {
  if (opset >= 23) return 11;
  if (opset >= 21) return 10;
  if (opset >= 19) return 9;
  if (opset >= 15) return 8;
  if (opset >= 12) return 7;
  if (opset >= 11) return 6;
  return opset >= 10 ? 5 : 4;
}
