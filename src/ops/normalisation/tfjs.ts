/** LayerNormalization on the graphics processor: mean, deviation around it, and the scaled result, each in a pass. */
import { sizeOf } from '../../core/dtype';
import { floatAttribute, intAttribute } from '../attributes';
import { normalizeAxis } from '../shapes';
import { addressOf, broadcastStrides, f32, kernel } from '../lowering/kernel';
import { given, hasInput, inputType, outputType } from '../lowering/tfjs';
import type { Lowering } from '../lowering/tfjs';
import { reduction } from '../reductions/kernel';

export const layerNormalization: Lowering = (context) => {
  const { backend, node } = context;
  const { dims } = inputType(context, 0);
  const axis = normalizeAxis(node, intAttribute(node, 'axis', -1), dims.length);
  const length = sizeOf(dims.slice(axis));
  const statistic = {
    dtype: 'float32',
    dims: dims.map((dim, index) => (index < axis ? dim : 1)),
  } as const;
  const rows = {
    dims,
    axes: dims.map((_, index) => index).slice(axis),
    combine: 'sum',
    output: statistic,
  } as const;
  const meanOf = reduction(backend, {
    ...rows,
    label: 'LayerNormalization mean',
    element: 'x0[i]',
    inputCount: 1,
    finish: `total / ${f32(length)}`,
  });
  const epsilon = f32(floatAttribute(node, 'epsilon', 1e-5));
  const inverseOf = reduction(backend, {
    ...rows,
    label: 'LayerNormalization deviation',
    element: '(x0[i] - x1[o]) * (x0[i] - x1[o])',
    inputCount: 2,
    finish: `1.0 / sqrt(total / ${f32(length)} + ${epsilon})`,
  });
  const biased = hasInput(context, 2);
  const from = (slot: number, own: readonly number[]) =>
    `x${slot}[${addressOf(dims, broadcastStrides(own, dims))}]`;
  const shift = biased ? ` + ${from(4, inputType(context, 2).dims)}` : '';
  const finish = kernel(backend, {
    label: 'LayerNormalization',
    output: outputType(context),
    inputCount: biased ? 5 : 4,
    body: `  let row = index / ${length};
  result[index] = (x0[index] - x1[row]) * x2[row] * ${from(3, inputType(context, 1).dims)}${shift};`,
  });
  return (inputs) => {
    const x = given(inputs[0]);
    const mean = meanOf([x]);
    const inverse = inverseOf([x, mean]);
    const bias = biased ? [given(inputs[2])] : [];
    return [finish([x, mean, inverse, given(inputs[1]), ...bias]), mean, inverse];
  };
};
