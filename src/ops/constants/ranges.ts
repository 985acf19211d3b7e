/** Size, Range and EyeLike: numbers that follow from a shape or from three bounds. */
import { isFloat, sizeOf } from '../../core/dtype';
import type { DType } from '../../core/dtype';
import { ceilDivDims, subDims } from '../../onnx/dim';
import type { Dim, Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import { numberType } from '../Cast/spec';
import type { InferContext, OpSpec } from '../define';
import { cast, scalarOf } from '../gradients';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue, numbersOf } from '../value';

const sizeSpec: OpSpec = {
  name: 'Size',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    inputType(context, 0);
    return [{ dtype: 'int64', dims: [] }];
  },
  reference: (node, inputs) => [
    makeValue('int64', [], Float64Array.of(sizeOf(inputValue(node, inputs, 0).dims))),
  ],
  expand: ({ node, builder, type }) => [
    scalarOf(builder, 'int64', sizeOf(type(node.inputs[0] ?? '').dims)),
  ],
};

function countOf([start = 0, limit = 0, delta = 1]: readonly number[]): number {
  return Math.max(0, Math.ceil((limit - start) / delta));
}

function rangeOf(bounds: readonly number[]): Float64Array {
  const [start = 0, , delta = 1] = bounds;
  const count = countOf(bounds);
  return Float64Array.from({ length: count }, (_, index) => start + index * delta);
}

/** Of whole bounds with a step that rises: (limit − start) / step, rounded up. */
function symbolicLength(context: InferContext): Dim | undefined {
  if (isFloat(inputType(context, 0).dtype)) return undefined;
  const [start, limit, step] = [0, 1, 2].map((index) => context.elements(index)?.[0]);
  if (start === undefined || limit === undefined || typeof step !== 'number' || step <= 0) {
    return undefined;
  }
  return ceilDivDims(subDims(limit, start), step);
}

const rangeSpec: OpSpec = {
  name: 'Range',
  domain: '',
  inputs: [3, 3],
  infer: (context) => {
    const bounds = [0, 1, 2].map((index) => {
      const tensor = context.constant(index);
      return tensor && numbersOf(tensor)[0];
    });
    const known = bounds.every((bound) => bound !== undefined);
    const { dtype } = inputType(context, 0);
    if (bounds[2] === 0) throw shapeError(context.node, 'input 2', 'not 0', '0');
    const length = known ? countOf(bounds) : symbolicLength(context);
    return [{ dtype, dims: [length ?? `${context.node.name}_length`] }];
  },
  reference: (node, inputs) => {
    const bounds = [0, 1, 2].map((index) => inputValue(node, inputs, index).data[0] ?? 0);
    const values = rangeOf(bounds);
    return [makeValue(inputValue(node, inputs, 0).dtype, [values.length], values)];
  },
};

function eyeType(node: Node, input: DType): DType {
  return node.attributes.has('dtype') ? numberType(node, intAttribute(node, 'dtype')) : input;
}

/** 1 on diagonal `k` of a matrix, row-major. */
function eye(node: Node, rows: number, columns: number): Float64Array {
  const k = intAttribute(node, 'k', 0);
  const data = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    if (row + k >= 0 && row + k < columns) data[row * columns + row + k] = 1;
  }
  return data;
}

const eyeLikeSpec: OpSpec = {
  name: 'EyeLike',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    if (dims.length !== 2) throw shapeError(context.node, 'input 0', 'a matrix', shapeText(dims));
    return [{ dtype: eyeType(context.node, dtype), dims }];
  },
  reference: (node, inputs) => {
    const { dtype, dims } = inputValue(node, inputs, 0);
    return [makeValue(eyeType(node, dtype), dims, eye(node, dimAt(dims, 0), dimAt(dims, 1)))];
  },
  expand: ({ node, builder, type }) => {
    const { dtype, dims } = type(node.inputs[0] ?? '');
    const values = eye(node, dimAt(dims, 0), dimAt(dims, 1));
    return [
      cast(builder, builder.constant('float32', dims, Array.from(values)), eyeType(node, dtype)),
    ];
  },
};

export const rangeSpecs: readonly OpSpec[] = [sizeSpec, rangeSpec, eyeLikeSpec];
