/** Reshape and Flatten: the same elements under another shape. */
import { AppError } from '../../core/errors';
import { exactDivDims, floorDivDims, productDims, subDims } from '../../onnx/dim';
import type { Dim, Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { GradientContext, OpSpec } from '../define';
import { reshapeTo } from '../gradients';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

/** 0 copies a length, one -1 takes what is left; symbolic lengths are divided out where they cancel. */
export function reshapedDims(node: Node, from: readonly Dim[], target: readonly Dim[]): Dim[] {
  const allowZero = intAttribute(node, 'allowzero', 0) !== 0;
  const dims = target.map((dim, axis): Dim => (dim === 0 && !allowZero ? dimAt(from, axis) : dim));
  const open = dims.indexOf(-1);
  if (open !== -1 && dims.includes(-1, open + 1)) {
    throw shapeError(node, 'the new shape', 'with at most one -1', shapeText(target));
  }
  const whole = productDims(from);
  const rest = productDims(dims.filter((_, axis) => axis !== open));
  if (open === -1) {
    const left = subDims(whole, rest);
    if (typeof left === 'number' && left !== 0) {
      throw shapeError(node, 'the new shape', `${whole} elements`, shapeText(target));
    }
    return dims;
  }
  const quotient = rest === 0 ? 0 : exactDivDims(whole, rest);
  if (quotient === undefined && typeof whole === 'number' && typeof rest === 'number') {
    throw shapeError(node, 'the new shape', `a divisor of ${whole} elements`, shapeText(target));
  }
  return dims.map((dim, axis) => (axis === open ? (quotient ?? floorDivDims(whole, rest)) : dim));
}

function gradient({ node, builder, outputGradients, type }: GradientContext) {
  const [g] = outputGradients;
  const [x] = node.inputs;
  return [g && x ? reshapeTo(builder, g, type(x).dims) : undefined];
}

const reshapeSpec: OpSpec = {
  name: 'Reshape',
  domain: '',
  inputs: [2, 2],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    const target = context.elements(1);
    if (target) return [{ dtype, dims: reshapedDims(context.node, dims, target) }];
    const rank = inputType(context, 1).dims[0];
    if (typeof rank !== 'number') {
      throw new AppError(
        'onnx/shape',
        `Node "${context.node.name}" (Reshape) computes a shape of unknown rank. Export the model with fixed shapes.`,
        {
          node: context.node.name,
          op: 'Reshape',
          port: 'input 1',
          expected: 'a known number of axes',
          found: shapeText(inputType(context, 1).dims),
        },
      );
    }
    return [
      { dtype, dims: Array.from({ length: rank }, (_, axis) => `${context.node.name}_${axis}`) },
    ];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const target = Array.from(inputValue(node, inputs, 1).data);
    return [makeValue(x.dtype, reshapedDims(node, x.dims, target) as number[], x.data)];
  },
  gradient,
};

function flattenedDims(node: Node, dims: readonly Dim[]): Dim[] {
  const given = intAttribute(node, 'axis', 1);
  const axis = given < 0 ? given + dims.length : given;
  if (axis < 0 || axis > dims.length) {
    throw shapeError(node, 'axis', `within [${-dims.length}, ${dims.length}]`, String(given));
  }
  return [productDims(dims.slice(0, axis)), productDims(dims.slice(axis))];
}

const flattenSpec: OpSpec = {
  name: 'Flatten',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    return [{ dtype, dims: flattenedDims(context.node, dims) }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    return [makeValue(x.dtype, flattenedDims(node, x.dims) as number[], x.data)];
  },
  gradient,
};

export const reshapeSpecs: readonly OpSpec[] = [reshapeSpec, flattenSpec];
