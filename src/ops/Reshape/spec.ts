/** Reshape and Flatten: the same elements under another shape. */
import { AppError } from '../../core/errors';
import type { Dim, Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { GradientContext, OpSpec } from '../define';
import { reshapeTo } from '../gradients';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

interface Product {
  readonly size: number;
  readonly symbols: readonly string[];
}

function product(dims: readonly Dim[]): Product {
  let size = 1;
  const symbols: string[] = [];
  for (const dim of dims) {
    if (typeof dim === 'number') size *= dim;
    else symbols.push(dim);
  }
  return { size, symbols: symbols.sort() };
}

/** 0 copies a length, one -1 takes what is left; symbolic lengths are divided out where they cancel. */
export function reshapedDims(node: Node, from: readonly Dim[], target: readonly Dim[]): Dim[] {
  const allowZero = intAttribute(node, 'allowzero', 0) !== 0;
  const dims = target.map((dim, axis): Dim => (dim === 0 && !allowZero ? dimAt(from, axis) : dim));
  const open = dims.indexOf(-1);
  if (dims.indexOf(-1, open + 1) !== -1 && open !== -1) {
    throw shapeError(node, 'the new shape', 'with at most one -1', shapeText(target));
  }
  const whole = product(from);
  const rest = product(dims.filter((_, axis) => axis !== open));
  const sameSymbols = whole.symbols.join() === rest.symbols.join();
  if (open === -1) {
    if (sameSymbols && whole.size !== rest.size) {
      throw shapeError(node, 'the new shape', `${whole.size} elements`, shapeText(target));
    }
    return dims;
  }
  const quotient = rest.size === 0 ? 0 : whole.size / rest.size;
  if (sameSymbols) {
    if (!Number.isInteger(quotient)) {
      throw shapeError(
        node,
        'the new shape',
        `a divisor of ${whole.size} elements`,
        shapeText(target),
      );
    }
    return dims.map((dim, axis) => (axis === open ? quotient : dim));
  }
  const left = whole.symbols.filter((symbol) => !rest.symbols.includes(symbol));
  const symbol = left.length === 1 && quotient === 1 ? dimAt(left, 0) : `${node.name}_${open}`;
  return dims.map((dim, axis) => (axis === open ? symbol : dim));
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
  return [dims.slice(0, axis), dims.slice(axis)].map((part, side): Dim => {
    const { size, symbols } = product(part);
    if (symbols.length === 0) return size;
    return symbols.length === 1 && size === 1 ? dimAt(symbols, 0) : `${node.name}_${side}`;
  });
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
