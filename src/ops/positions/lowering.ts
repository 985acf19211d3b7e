/** CumSum, Trilu and ReverseSequence on the graphics processor. */
import { intAttribute } from '../attributes';
import {
  constantInts,
  hasInput,
  input,
  inputType,
  outputType,
  requireInts,
  wgslType,
} from '../lowering/context';
import type { Lowering, LoweringTable } from '../lowering/plan';
import { aroundAxis, normalizeAxis, stridesOf } from '../shapes';
import { sequenceAxes } from './spec';

/** Lines as long as this, and no more of them, would leave a GPU to a few threads: tfjs adds by doubling distances. */
const LONG_LINE = 4096;
const FEW_LINES = 64;

/** One thread a line, so that the sum has one order. */
const cumSum: Lowering = (context) => {
  const { node, plan } = context;
  const output = outputType(context);
  const axis = normalizeAxis(node, requireInts(context, 1)[0] ?? 0, output.dims.length);
  const { outer, length, inner } = aroundAxis(output.dims, axis);
  const reverse = intAttribute(node, 'reverse', 0) !== 0;
  const exclusive = intAttribute(node, 'exclusive', 0) !== 0;
  const type = wgslType(output.dtype);
  if (type === 'f32' && length >= LONG_LINE && outer * inner <= FEW_LINES) {
    return plan.cold({
      label: 'CumSum',
      inputs: [input(context, 0)],
      outputs: [output],
      kernel: 'Cumsum',
      names: ['x'],
      attributes: { axis, exclusive, reverse },
    });
  }
  return plan.kernel({
    label: 'CumSum',
    inputs: [input(context, 0)],
    outputs: [output],
    items: outer * inner,
    streams: [0],
    body: `  let line = index / ${inner} * ${length * inner} + index % ${inner};
  var sum = ${type}(0);
  for (var step = 0; step < ${length}; step++) {
    let at = line + ${reverse ? `(${length - 1} - step)` : 'step'} * ${inner};
    let next = sum + x0(at);
    y0(at, ${exclusive ? 'sum' : 'next'});
    sum = next;
  }`,
  });
};

const trilu: Lowering = (context) => {
  const { node, plan } = context;
  const output = outputType(context);
  const rows = output.dims.at(-2) ?? 1;
  const columns = output.dims.at(-1) ?? 1;
  const keep = intAttribute(node, 'upper', 1) === 0 ? '<=' : '>=';
  const known = hasInput(context, 1) ? constantInts(context, 1) : [0];
  // Beyond the corners it makes no difference, and the literal stays an i32.
  const k = known && Math.min(Math.max(known[0] ?? 0, -rows - 1), columns + 1);
  const y = plan.pointwise({
    label: 'Trilu',
    inputs: k === undefined ? [input(context, 0), input(context, 1)] : [input(context, 0)],
    output,
    lets: `let beyond = index % ${columns} - (index / ${columns}) % ${rows} - (${k ?? 'x1(0)'});`,
    value: `select(${wgslType(output.dtype)}(0), x0(index), beyond ${keep} 0)`,
  });
  return [y];
};

const reverseSequence: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const { batch, time } = sequenceAxes(context.node);
  const strides = stridesOf(dims);
  const step = strides[time] ?? 1;
  const y = context.plan.pointwise({
    label: 'ReverseSequence',
    inputs: [input(context, 0), input(context, 1)],
    output: outputType(context),
    lets: `let place = (index / ${step}) % ${dims[time]};
let length = x1((index / ${strides[batch]}) % ${dims[batch]});
let moved = select(0, length - 1 - 2 * place, place < length);`,
    value: `x0(index + moved * ${step})`,
  });
  return [y];
};

export const POSITIONS: LoweringTable = {
  CumSum: cumSum,
  Trilu: trilu,
  ReverseSequence: reverseSequence,
};
