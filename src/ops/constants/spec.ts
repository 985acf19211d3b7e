/** Constant, ConstantOfShape and Shape: values that come from the graph itself, not from data. */
import { AppError } from '../../core/errors';
import type { Node, Tensor } from '../../onnx/graph';
import { intAttribute, tensorAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { inputType } from '../shapes';
import { inputValue, makeValue, valueOf } from '../value';

/** The tensor of a Constant node, from whichever of its attributes holds it. */
export function constantTensor(node: Node): Tensor {
  const [entry] = node.attributes;
  const value = entry?.[1];
  switch (value?.type) {
    case 'tensor':
      return value.value;
    case 'int':
      return { dtype: 'int64', dims: [], data: BigInt64Array.of(BigInt(value.value)) };
    case 'ints':
      return {
        dtype: 'int64',
        dims: [value.value.length],
        data: BigInt64Array.from(value.value, BigInt),
      };
    case 'float':
      return { dtype: 'float32', dims: [], data: Float32Array.of(value.value) };
    case 'floats':
      return { dtype: 'float32', dims: [value.value.length], data: Float32Array.from(value.value) };
    case 'string':
      return { dtype: 'string', dims: [], data: [value.value] };
    case 'strings':
      return { dtype: 'string', dims: [value.value.length], data: [...value.value] };
    default:
      throw new AppError(
        'onnx/attribute',
        `Node "${node.name}" (Constant) holds no value. The model file is incomplete.`,
        { node: node.name },
      );
  }
}

const constantSpec: OpSpec = {
  name: 'Constant',
  domain: '',
  inputs: [0, 0],
  infer: ({ node }) => [constantTensor(node)],
  reference: (node) => [valueOf(constantTensor(node))],
};

/** What ConstantOfShape repeats. */
export function fillOf(node: Node) {
  return node.attributes.has('value')
    ? valueOf(tensorAttribute(node, 'value'))
    : makeValue('float32', [1]);
}

const constantOfShapeSpec: OpSpec = {
  name: 'ConstantOfShape',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const shape = context.elements(0);
    const rank = inputType(context, 0).dims[0];
    const symbolic = Array.from(
      { length: typeof rank === 'number' ? rank : 0 },
      (_, axis) => `${context.node.name}_${axis}`,
    );
    return [{ dtype: fillOf(context.node).dtype, dims: shape ?? symbolic }];
  },
  reference: (node, inputs) => {
    const fill = fillOf(node);
    const y = makeValue(fill.dtype, Array.from(inputValue(node, inputs, 0).data));
    y.data.fill(fill.data[0] as number);
    return [y];
  },
};

function shapeRange(node: Node, rank: number): [number, number] {
  const resolve = (axis: number) => Math.min(rank, Math.max(0, axis < 0 ? axis + rank : axis));
  const start = resolve(intAttribute(node, 'start', 0));
  return [start, Math.max(start, resolve(intAttribute(node, 'end', rank)))];
}

const shapeSpec: OpSpec = {
  name: 'Shape',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const [start, end] = shapeRange(context.node, inputType(context, 0).dims.length);
    return [{ dtype: 'int64', dims: [end - start] }];
  },
  reference: (node, inputs) => {
    const { dims } = inputValue(node, inputs, 0);
    const [start, end] = shapeRange(node, dims.length);
    return [makeValue('int64', [end - start], Float64Array.from(dims.slice(start, end)))];
  },
};

export const constantSpecs: readonly OpSpec[] = [constantSpec, constantOfShapeSpec, shapeSpec];
