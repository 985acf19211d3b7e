/** Reductions on the graphics processor, from the table: axes as an attribute or as a constant input. */
import { invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import { intAttribute } from '../attributes';
import { normalizeAxis, stridesOf } from '../shapes';
import { addressOf, f32, kernel } from '../lowering/kernel';
import {
  alias,
  deviceType,
  given,
  hasInput,
  inputType,
  optionalInts,
  outputType,
  requireInts,
} from '../lowering/tfjs';
import type { Lowering, LoweringContext, LoweringTable } from '../lowering/tfjs';
import { reduction } from './kernel';
import { REDUCTIONS } from './table';
import type { ReductionOp } from './table';

/** The axes of a reduction node; all of them where none are given. */
function reducedAxes(context: LoweringContext): number[] {
  const { dims } = inputType(context, 0);
  const given =
    optionalInts(context.node, 'axes') ?? (hasInput(context, 1) ? requireInts(context, 1) : []);
  if (given.length === 0) {
    return intAttribute(context.node, 'noop_with_empty_axes', 0) === 1
      ? []
      : dims.map((_, axis) => axis);
  }
  return given.map((axis) => normalizeAxis(context.node, axis, dims.length));
}

function reduce({ wgsl }: ReductionOp): Lowering {
  return (context) => {
    invariant(wgsl !== undefined, `${context.node.op} has no kernel of its own.`);
    const { dims } = inputType(context, 0);
    const axes = reducedAxes(context);
    const output = outputType(context);
    const { combine, element = 'x', finish } = wgsl;
    if (axes.length === 0 && element === 'x' && (finish ?? 'total / count') === 'total / count') {
      return (inputs) => [alias(context.backend, given(inputs[0]), dims)];
    }
    const count = sizeOf(axes.map((axis) => dims[axis] ?? 1));
    const integer = deviceType(output.dtype) !== 'float32';
    // Integers: sums stay whole, and only what a root or logarithm makes of them is cut.
    const last = finish
      ?.replaceAll('count', integer ? `${count}` : f32(count))
      .replaceAll('infinity()', 'uniforms.INFINITY');
    const cut =
      integer && last?.includes('(') ? `i32(${last.replaceAll('total', 'f32(total)')})` : last;
    const run = reduction(context.backend, {
      label: context.node.op,
      dims,
      axes,
      combine,
      element: element.replaceAll('x', 'x0[i]'),
      inputCount: 1,
      output,
      ...(cut === undefined ? {} : { finish: cut }),
    });
    return (inputs) => [run([given(inputs[0])])];
  };
}

/** ArgMax and ArgMin. */
function extreme(better: '>' | '<'): Lowering {
  return (context) => {
    const { dims } = inputType(context, 0);
    const axis = normalizeAxis(context.node, intAttribute(context.node, 'axis', 0), dims.length);
    const length = dims[axis] ?? 1;
    const strides = stridesOf(dims);
    const kept = dims.map((_, index) => index).filter((index) => index !== axis);
    const base = addressOf(
      kept.map((index) => dims[index] ?? 1),
      kept.map((index) => strides[index] ?? 1),
    );
    const last = intAttribute(context.node, 'select_last_index', 0) === 1 ? '=' : '';
    const run = kernel(context.backend, {
      label: context.node.op,
      output: outputType(context),
      inputCount: 1,
      body: `  let base = ${base};
  var best = 0;
  for (var r = 1; r < ${length}; r++) {
    if (x0[base + r * ${strides[axis]}] ${better}${last} x0[base + best * ${strides[axis]}]) { best = r; }
  }
  result[index] = best;`,
    });
    return (inputs) => [run([given(inputs[0])])];
  };
}

/** Softmax and LogSoftmax: largest value, sum of exponentials, then the element. */
function softmax(log: boolean): Lowering {
  return (context) => {
    const { dims } = inputType(context, 0);
    const axis = normalizeAxis(context.node, intAttribute(context.node, 'axis', -1), dims.length);
    const { backend } = context;
    const kept = dims.map((dim, index) => (index === axis ? 1 : dim));
    const shared = { dims, axes: [axis], output: { dtype: 'float32', dims: kept } } as const;
    const largest = reduction(backend, {
      ...shared,
      label: `${context.node.op} max`,
      combine: 'max',
      element: 'x0[i]',
      inputCount: 1,
    });
    const total = reduction(backend, {
      ...shared,
      label: `${context.node.op} sum`,
      combine: 'sum',
      element: 'exp(x0[i] - x1[o])',
      inputCount: 2,
    });
    const strides = stridesOf(kept).map((stride, index) => (index === axis ? 0 : stride));
    const row = addressOf(dims, strides);
    const finish = kernel(backend, {
      label: context.node.op,
      output: outputType(context),
      inputCount: 3,
      body: `  let row = ${row};
  let shifted = x0[index] - x1[row];
  result[index] = ${log ? 'shifted - log(x2[row])' : 'exp(shifted) / x2[row]'};`,
    });
    return (inputs) => {
      const x = given(inputs[0]);
      const top = largest([x]);
      const sum = total([x, top]);
      const result = finish([x, top, sum]);
      backend.disposeData(top.dataId);
      backend.disposeData(sum.dataId);
      return [result];
    };
  };
}

const globalAveragePool: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const axes = dims.map((_, axis) => axis).slice(2);
  const run = reduction(context.backend, {
    label: 'GlobalAveragePool',
    dims,
    axes,
    combine: 'sum',
    element: 'x0[i]',
    inputCount: 1,
    output: outputType(context),
    finish: `total / ${f32(sizeOf(dims.slice(2)))}`,
  });
  return (inputs) => [run([given(inputs[0])])];
};

export const REDUCTION_KERNELS: LoweringTable = {
  ...Object.fromEntries(
    Object.entries(REDUCTIONS).flatMap(([name, op]) => (op.wgsl ? [[name, reduce(op)]] : [])),
  ),
  ArgMax: extreme('>'),
  ArgMin: extreme('<'),
  Softmax: softmax(false),
  LogSoftmax: softmax(true),
  GlobalAveragePool: globalAveragePool,
};
