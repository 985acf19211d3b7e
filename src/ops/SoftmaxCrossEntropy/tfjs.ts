/**
 * Softmax cross-entropy and its gradient on the graphics processor. A label outside the classes cannot stop a GPU:
 * it makes loss and gradient NaN, so the loop sees it and the update is skipped.
 */
import { sizeOf } from '../../core/dtype';
import { kernel } from '../lowering/kernel';
import { given, inputType, outputType } from '../lowering/tfjs';
import type { Lowering } from '../lowering/tfjs';
import { reduction } from '../reductions/kernel';

/** (logits [B, K], labels [B], weights [B]) -> numerator [], denominator [], probabilities [B, K] */
export const softmaxCrossEntropy: Lowering = (context) => {
  const { backend } = context;
  const { dims } = inputType(context, 0);
  const [rows = 1, classes = 1] = dims;
  const perRow = { dtype: 'float32', dims: [rows] } as const;
  const scalar = { dtype: 'float32', dims: [] } as const;
  // log Σ exp(z), around the largest logit so that nothing overflows.
  const normaliser = kernel(backend, {
    label: 'SoftmaxCrossEntropy normaliser',
    output: perRow,
    inputCount: 1,
    body: `  let row = index * ${classes};
  var top = x0[row];
  for (var k = 1; k < ${classes}; k++) { top = max(top, x0[row + k]); }
  var total = 0.0;
  for (var k = 0; k < ${classes}; k++) { total += exp(x0[row + k] - top); }
  result[index] = top + log(total);`,
  });
  const probabilities = kernel(backend, {
    label: 'SoftmaxCrossEntropy probabilities',
    output: outputType(context, 2),
    inputCount: 2,
    body: `  result[index] = exp(x0[index] - x1[index / ${classes}]);`,
  });
  const losses = kernel(backend, {
    label: 'SoftmaxCrossEntropy rows',
    output: perRow,
    inputCount: 4,
    body: `  let label = i32(x1[index]);
  let known = label >= 0 && label < ${classes};
  var loss = x3[index] - x0[index * ${classes} + clamp(label, 0, ${classes - 1})];
  if (!known) { loss = bitcast<f32>(0x7fc00000u + u32(known)); }
  // A row of weight 0 counts nothing, even where its loss is infinite.
  result[index] = 0.0;
  if (x2[index] != 0.0) { result[index] = x2[index] * loss; }`,
  });
  const sum = reduction(backend, {
    label: 'SoftmaxCrossEntropy sum',
    dims: [sizeOf(perRow.dims)],
    axes: [0],
    combine: 'sum',
    element: 'x0[i]',
    inputCount: 1,
    output: scalar,
  });
  return (inputs) => {
    const logits = given(inputs[0]);
    const weights = given(inputs[2]);
    const shift = normaliser([logits]);
    const loss = losses([logits, given(inputs[1]), weights, shift]);
    const result = [sum([loss]), sum([weights]), probabilities([logits, shift])];
    backend.disposeData(shift.dataId);
    backend.disposeData(loss.dataId);
    return result;
  };
};

/** (g [], probabilities [B, K], labels [B], weights [B]) -> dLogits */
export const softmaxCrossEntropyGradient: Lowering = (context) => {
  const classes = inputType(context, 1).dims[1] ?? 1;
  const run = kernel(context.backend, {
    label: 'SoftmaxCrossEntropyGrad',
    output: outputType(context),
    inputCount: 4,
    body: `  let row = index / ${classes};
  let label = i32(x2[row]);
  let known = (label >= 0) & (label < ${classes});
  let hit = select(0.0, 1.0, label == index % ${classes});
  // A literal NaN is refused by the compiler, hence the sum.
  let factor = select(bitcast<f32>(0x7fc00000u + u32(known)), x0[0] * x3[row], known);
  result[index] = factor * (x1[index] - hit);`,
  });
  return (inputs) => [run(inputs.slice(0, 4).map(given))];
};
