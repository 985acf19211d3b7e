/**
 * Element types that ONNX demands of an operator's inputs (the type constraints of its schemas), where breaking them
 * is a mistake that a person can make: inputs that must agree, indices that must be whole, conditions that must be bool.
 */
import { ownValue } from '../core/own-value';
import { isFloat } from '../core/dtype';
import type { DType } from '../core/dtype';
import { AppError } from '../core/errors';
import type { Node, TensorType } from '../onnx/graph';
import { shapeError } from './shapes';

const words = (text: string): string[] => text.split(' ');

/** All inputs are of one type. */
const ALIKE = new Set(
  words(
    'Add Sub Mul Div Mod Equal Greater Less GreaterOrEqual LessOrEqual Min Max Sum Mean MatMul Gemm Conv ' +
      'ConvTranspose PRelu Concat Clip Einsum And Or Xor BitwiseAnd BitwiseOr BitwiseXor InstanceNormalization',
  ),
);
/** These two inputs are of one type. */
const PAIRS: Readonly<Record<string, readonly [number, number]>> = {
  Where: [1, 2],
  Pad: [0, 2],
  ScatterElements: [0, 2],
  ScatterND: [0, 2],
};
/** Inputs that are shapes, axes or positions. */
const WHOLE: Readonly<Record<string, number>> = {
  ...Object.fromEntries(
    words(
      'Gather GatherElements GatherND ScatterElements ScatterND Reshape Expand Squeeze Unsqueeze Tile Split Pad TopK ' +
        'ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ' +
        'ReduceSumSquare Slice',
    ).map((op) => [op, 1]),
  ),
  ConstantOfShape: 0,
};
const BOOLEAN: Readonly<Record<string, readonly number[]>> = {
  And: [0, 1],
  Or: [0, 1],
  Xor: [0, 1],
  Not: [0],
  Where: [0],
  If: [0],
};
const FLOATING = new Set(
  words(
    'Conv ConvTranspose BatchNormalization Softmax LogSoftmax Sigmoid Tanh Exp Log Sqrt Erf Gelu Elu Selu ' +
      'HardSigmoid HardSwish Mish Softplus AveragePool GlobalAveragePool LayerNormalization',
  ),
);

/** Inputs with one element an axis, by which a file could ask for more axes than there is memory for. */
const AXES: Readonly<Record<string, number>> = {
  Reshape: 1,
  Expand: 1,
  Squeeze: 1,
  Unsqueeze: 1,
  Tile: 1,
  Col2Im: 1,
  CenterCropPad: 1,
  AffineGrid: 1,
  ConstantOfShape: 0,
};
const MAX_AXES = 64;

/** Throws `onnx/type` for the first input of a wrong type. */
export function checkTypes(node: Node, inputs: readonly (TensorType | undefined)[]): void {
  if (node.domain !== '') return;
  const { op } = node;
  const need = (port: number, fits: (dtype: DType) => boolean, expected: string): void => {
    const found = inputs[port]?.dtype;
    if (found !== undefined && !fits(found)) throw typeError(node, port, expected, found);
  };
  const [first] = inputs;
  if (ALIKE.has(op) && first) {
    inputs.forEach((_, port) => need(port, (dtype) => dtype === first.dtype, first.dtype));
  }
  const pair = ownValue(PAIRS, op);
  const other = pair && inputs[pair[0]]?.dtype;
  if (pair && other) need(pair[1], (dtype) => dtype === other, other);
  const whole = ownValue(WHOLE, op);
  if (whole !== undefined) {
    need(whole, (dtype) => dtype === 'int64' || dtype === 'int32', 'int64 or int32');
  }
  for (const port of ownValue(BOOLEAN, op) ?? []) need(port, (dtype) => dtype === 'bool', 'bool');
  if (FLOATING.has(op)) need(0, isFloat, 'a floating-point type');
  const axes = ownValue(AXES, op);
  const length = axes === undefined ? undefined : inputs[axes]?.dims[0];
  if (axes !== undefined && typeof length === 'number' && length > MAX_AXES) {
    throw shapeError(node, `input ${axes}`, `at most ${MAX_AXES} long`, String(length));
  }
}

function typeError(node: Node, port: number, expected: string, found: DType): AppError {
  return new AppError(
    'onnx/type',
    `Input ${port} of node "${node.name}" (${node.op}) should be ${expected}, but is ${found}.`,
    { node: node.name, op: node.op, port, expected, found },
  );
}
