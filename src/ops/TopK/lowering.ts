/**
 * TopK without sorting: each element counts how many of its line come before it, ties by position, and so knows its
 * place. Quadratic in the length of the line, which for class scores and detections is short; tfjs sorts long ones.
 */
import { isFloat, sizeOf } from '../../core/dtype';
import { intAttribute } from '../attributes';
import { input, inputType, only, outputType } from '../lowering/context';
import type { Lowering } from '../lowering/plan';
import { aroundAxis, normalizeAxis } from '../shapes';

const LONG_LINE = 4096;

export const topK: Lowering = (context) => {
  const { plan, node } = context;
  const { dtype, dims } = inputType(context, 0);
  const axis = normalizeAxis(node, intAttribute(node, 'axis', -1), dims.length);
  const { length, inner } = aroundAxis(dims, axis);
  const kept = outputType(context).dims;
  const k = kept[axis] ?? 0;
  const before = intAttribute(node, 'largest', 1) === 0 ? '<' : '>';
  const key = (address: string) => (isFloat(dtype) ? `order_of(x0(${address}))` : `x0(${address})`);
  const x = input(context, 0);
  const plain = inner === 1 && before === '>' && dtype === 'float32';
  if (plain && length >= LONG_LINE) {
    return plan.cold({
      label: 'TopK',
      inputs: [x],
      outputs: [
        { dtype, dims: kept },
        { dtype: 'int32', dims: kept },
      ],
      kernel: 'TopK',
      names: ['x'],
      attributes: { k, sorted: true },
    });
  }
  const places = only(
    plan.kernel({
      label: 'TopK places',
      inputs: [x],
      outputs: [{ dtype: 'int64', dims: kept }],
      items: sizeOf(dims),
      body: `  let line = index / ${length * inner} * ${length * inner} + index % ${inner};
  let own = (index / ${inner}) % ${length};
  let mine = ${key('index')};
  var place = 0;
  for (var j = 0; j < ${length}; j++) {
    let other = ${key(`line + j * ${inner}`)};
    place += select(0, 1, (other ${before} mine) | ((other == mine) & (j < own)));
  }
  if (place < ${k}) {
    y0((index / ${length * inner} * ${k} + place) * ${inner} + index % ${inner}, own);
  }`,
    }),
  );
  const values = plan.pointwise({
    label: 'TopK values',
    inputs: [x, places],
    output: { dtype, dims: kept },
    lets: `let line = index / ${k * inner} * ${length * inner} + index % ${inner};`,
    value: `x0(line + x1(index) * ${inner})`,
  });
  return [values, places];
};
