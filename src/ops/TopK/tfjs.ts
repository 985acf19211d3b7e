/**
 * TopK without sorting: each element counts how many of its line come before it, ties by position, and so knows its
 * place. Quadratic in the length of the line, which for class scores and detections is short.
 */
import { isFloat, sizeOf } from '../../core/dtype';
import { intAttribute } from '../attributes';
import { kernel } from '../lowering/kernel';
import { given, inputType, outputType } from '../lowering/tfjs';
import type { Lowering } from '../lowering/tfjs';
import { aroundAxis, normalizeAxis } from '../shapes';

// Floats as integers of the same order; both zeros are one, and NaN is the largest.
const ORDER = `
fn order_of(x: f32) -> i32 {
  if (x == 0.0) { return 0; }
  let bits = bitcast<i32>(x);
  if ((bits & 0x7fffffff) > 0x7f800000) { return 0x7fffffff; }
  return select(bits, bits ^ 0x7fffffff, bits < 0);
}`;

export const topK: Lowering = (context) => {
  const { backend, node } = context;
  const { dtype, dims } = inputType(context, 0);
  const axis = normalizeAxis(node, intAttribute(node, 'axis', -1), dims.length);
  const { length, inner } = aroundAxis(dims, axis);
  const kept = outputType(context).dims;
  const k = kept[axis] ?? 0;
  const before = intAttribute(node, 'largest', 1) === 0 ? '<' : '>';
  const key = (address: string) => (isFloat(dtype) ? `order_of(x0[${address}])` : `x0[${address}]`);
  const places = kernel(backend, {
    label: 'TopK places',
    output: { dtype: 'int64', dims: kept },
    inputCount: 1,
    threads: sizeOf(dims),
    helpers: isFloat(dtype) ? ORDER : '',
    body: `  let line = index / ${length * inner} * ${length * inner} + index % ${inner};
  let own = (index / ${inner}) % ${length};
  let mine = ${key('index')};
  var place = 0;
  for (var j = 0; j < ${length}; j = j + 1) {
    let other = ${key(`line + j * ${inner}`)};
    if (other ${before} mine || (other == mine && j < own)) { place = place + 1; }
  }
  if (place < ${k}) {
    result[(index / ${length * inner} * ${k} + place) * ${inner} + index % ${inner}] = own;
  }`,
  });
  const pick = kernel(backend, {
    label: 'TopK values',
    output: { dtype, dims: kept },
    inputCount: 2,
    body: `  let line = index / ${k * inner} * ${length * inner} + index % ${inner};
  result[index] = x0[line + x1[index] * ${inner}];`,
  });
  return (inputs) => {
    const x = given(inputs[0]);
    const indices = places([x]);
    return [pick([x, indices]), indices];
  };
};
