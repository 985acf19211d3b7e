/** CumSum, Trilu and ReverseSequence on the graphics processor. */
import { intAttribute } from '../attributes';
import { kernel } from '../lowering/kernel';
import {
  constantInts,
  given,
  hasInput,
  inputType,
  outputType,
  requireInts,
} from '../lowering/tfjs';
import type { Lowering, LoweringTable } from '../lowering/tfjs';
import { aroundAxis, normalizeAxis, stridesOf } from '../shapes';
import { sequenceAxes } from './spec';

/** One thread a line, so that the sum has one order. */
const cumSum: Lowering = (context) => {
  const { backend, node } = context;
  const output = outputType(context);
  const axis = normalizeAxis(node, requireInts(context, 1)[0] ?? 0, output.dims.length);
  const { outer, length, inner } = aroundAxis(output.dims, axis);
  const reverse = intAttribute(node, 'reverse', 0) !== 0;
  const exclusive = intAttribute(node, 'exclusive', 0) !== 0;
  const run = kernel(backend, {
    label: 'CumSum',
    output,
    inputCount: 1,
    threads: outer * inner,
    body: `  let line = index / ${inner} * ${length * inner} + index % ${inner};
  var sum = x0[line] - x0[line];
  for (var step = 0; step < ${length}; step = step + 1) {
    let at = line + ${reverse ? `(${length - 1} - step)` : 'step'} * ${inner};
    let own = x0[at];
    result[at] = sum${exclusive ? '' : ' + own'};
    sum = sum + own;
  }`,
  });
  return (inputs) => [run([given(inputs[0])])];
};

const trilu: Lowering = (context) => {
  const { backend, node } = context;
  const output = outputType(context);
  const rows = output.dims.at(-2) ?? 1;
  const columns = output.dims.at(-1) ?? 1;
  const keep = intAttribute(node, 'upper', 1) === 0 ? '<=' : '>=';
  const known = hasInput(context, 1) ? constantInts(context, 1) : [0];
  // Beyond the corners it makes no difference, and the literal stays an i32.
  const k = known && Math.min(Math.max(known[0] ?? 0, -rows - 1), columns + 1);
  const run = kernel(backend, {
    label: 'Trilu',
    output,
    inputCount: k === undefined ? 2 : 1,
    body: `  let beyond = index % ${columns} - (index / ${columns}) % ${rows} - (${k ?? 'x1[0]'});
  var value = x0[index];
  if (!(beyond ${keep} 0)) { value = ${output.dtype.includes('float') ? '0.0' : '0'}; }
  result[index] = value;`,
  });
  return (inputs) => [
    run(k === undefined ? [given(inputs[0]), given(inputs[1])] : [given(inputs[0])]),
  ];
};

const reverseSequence: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const { batch, time } = sequenceAxes(context.node);
  const strides = stridesOf(dims);
  const step = strides[time] ?? 1;
  const run = kernel(context.backend, {
    label: 'ReverseSequence',
    output: outputType(context),
    inputCount: 2,
    body: `  let place = (index / ${step}) % ${dims[time]};
  let length = x1[(index / ${strides[batch]}) % ${dims[batch]}];
  var at = index;
  if (place < length) { at = index + (length - 1 - 2 * place) * ${step}; }
  result[index] = x0[at];`,
  });
  return (inputs) => [run([given(inputs[0]), given(inputs[1])])];
};

export const POSITIONS: LoweringTable = {
  CumSum: cumSum,
  Trilu: trilu,
  ReverseSequence: reverseSequence,
};
