/** Reductions on the graphics processor, from the table: axes as an attribute or as a constant input. */
import { invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import { intAttribute } from '../attributes';
import { normalizeAxis, stridesOf } from '../shapes';
import { addressOf, f32 } from '../lowering/address';
import {
  hasInput,
  input,
  inputType,
  optionalInts,
  outputType,
  requireInts,
  wgslType,
} from '../lowering/context';
import type { Lowering, LoweringContext, LoweringTable } from '../lowering/plan';
import { reduce } from './reduce';
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

function fromTable({ wgsl }: ReductionOp): Lowering {
  return (context) => {
    const { node, plan } = context;
    invariant(wgsl !== undefined, `${node.op} has no kernel of its own.`);
    const x = input(context, 0);
    const { dims } = x;
    const axes = reducedAxes(context);
    const output = outputType(context);
    const { combine, element = 'x', finish } = wgsl;
    const count = sizeOf(axes.map((axis) => dims[axis] ?? 1));
    const plain = element === 'x' && (finish ?? 'total / count') === 'total / count';
    if (count === 1 && plain) return [plan.reshape(x, output.dims)];
    const integer = wgslType(output.dtype) === 'i32';
    // Integers: sums stay whole, and only what a root or logarithm makes of them is cut.
    const last = finish?.replaceAll('count', integer ? `${count}` : f32(count));
    const cut =
      integer && last?.includes('(') ? `i32(${last.replaceAll('total', 'f32(total)')})` : last;
    const y = reduce(plan, {
      label: node.op,
      inputs: [x],
      dims,
      axes,
      combine,
      ...(element === 'x' ? { element: 'x0(i)' } : { lets: 'let x = x0(i);', element }),
      output,
      ...(cut === undefined ? {} : { finish: cut }),
    });
    return [y];
  };
}

/** ArgMax and ArgMin. */
function extreme(better: '>' | '<'): Lowering {
  return (context) => {
    const { node, plan } = context;
    const { dims } = inputType(context, 0);
    const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), dims.length);
    const strides = stridesOf(dims);
    const kept = dims.map((_, index) => index).filter((index) => index !== axis);
    const base = addressOf(
      kept.map((index) => dims[index] ?? 1),
      kept.map((index) => strides[index] ?? 1),
    );
    const last = intAttribute(node, 'select_last_index', 0) === 1 ? '=' : '';
    return plan.kernel({
      label: node.op,
      inputs: [input(context, 0)],
      outputs: [outputType(context)],
      streams: [0],
      body: `  let base = ${base};
  var best = 0;
  var top = x0(base);
  for (var r = 1; r < ${dims[axis] ?? 1}; r++) {
    let next = x0(base + r * ${strides[axis] ?? 1});
    let wins = next ${better}${last} top;
    best = select(best, r, wins);
    top = select(top, next, wins);
  }
  y0(index, best);`,
    });
  };
}

const globalAveragePool: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const y = reduce(context.plan, {
    label: 'GlobalAveragePool',
    inputs: [input(context, 0)],
    dims,
    axes: dims.map((_, axis) => axis).slice(2),
    combine: 'sum',
    element: 'x0(i)',
    finish: `total / ${f32(sizeOf(dims.slice(2)))}`,
    output: outputType(context),
  });
  return [y];
};

export const REDUCTION_KERNELS: LoweringTable = {
  ...Object.fromEntries(
    Object.entries(REDUCTIONS).flatMap(([name, op]) => (op.wgsl ? [[name, fromTable(op)]] : [])),
  ),
  ArgMax: extreme('>'),
  ArgMin: extreme('<'),
  GlobalAveragePool: globalAveragePool,
};
