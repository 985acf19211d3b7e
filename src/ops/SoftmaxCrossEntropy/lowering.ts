/**
 * Softmax cross-entropy and its gradient on the graphics processor, in two kernels: rows give their normaliser and
 * their loss, then both sums. Probabilities follow from the normaliser element by element, so where only the
 * gradient reads them they are never stored. A label outside the classes cannot stop a GPU: it makes loss and
 * gradient NaN, so the loop sees it and the update is skipped.
 */
import { channelKernel, channelWalk, inOnePart } from '../lowering/channels';
import { input, inputType, outputType } from '../lowering/context';
import type { Lowering, LoweringTable } from '../lowering/plan';
import { rowKernel } from '../lowering/rows';
import { exponents } from '../Softmax/lowering';

/** (logits [B, K], labels [B], weights [B]) -> numerator [], denominator [], probabilities [B, K] */
const softmaxCrossEntropy: Lowering = (context) => {
  const { plan } = context;
  const [rows = 1, classes = 1] = inputType(context, 0).dims;
  const [logits, labels, weights] = [0, 1, 2].map((port) => input(context, port));
  if (!logits || !labels || !weights) return [];
  const perRow = { dtype: 'float32', dims: [rows] } as const;
  const [normaliser, losses] = rowKernel(
    plan,
    { family: 'SoftmaxCrossEntropy', count: rows, length: classes, inner: 1 },
    {
      label: 'SoftmaxCrossEntropy rows',
      inputs: [logits, labels, weights],
      outputs: [perRow, perRow],
      streams: [0],
      keep: { x: 'x0(at)' },
      body: (row) => `${exponents(row)}
${row.once(`let normaliser = most + log(all);
    let label = i32(x1(row));
    var loss = nan();
    if (label >= 0 && label < ${classes}) { loss = normaliser - x0(row * ${classes} + label); }
    // A row of weight 0 counts nothing, even where its loss is infinite.
    let weight = x2(row);
    if (weight != 0.0) { loss *= weight; } else { loss = 0.0; }
    y0(row, normaliser);
    y1(row, loss);`)}`,
    },
  );
  if (!normaliser || !losses) return [];
  const all = { outer: rows, channels: 1, inner: 1 };
  const walk = inOnePart(channelWalk(plan, 'SoftmaxCrossEntropy sums', all));
  const sums = channelKernel(plan, walk, {
    label: 'SoftmaxCrossEntropy sums',
    inputs: [losses, weights],
    outputs: [outputType(context, 0), outputType(context, 1)],
    body: ({ each, sum, once }) => `  var loss = 0.0;
  var weight = 0.0;
${each('loss += x0(i); weight += x1(i);')}
  let all_loss = ${sum('loss')};
  let all_weight = ${sum('weight')};
${once('y0(0, all_loss); y1(0, all_weight);')}`,
  });
  const probabilities = plan.pointwise({
    label: 'SoftmaxCrossEntropy probabilities',
    inputs: [logits, normaliser],
    output: outputType(context, 2),
    value: `exp(x0(index) - x1(index / ${classes}))`,
  });
  return [...sums, probabilities];
};

/** (g [], probabilities [B, K], labels [B], weights [B]) -> dLogits */
const softmaxCrossEntropyGradient: Lowering = (context) => {
  const classes = inputType(context, 1).dims[1] ?? 1;
  const gradient = context.plan.pointwise({
    label: 'SoftmaxCrossEntropyGrad',
    inputs: [0, 1, 2, 3].map((port) => input(context, port)),
    output: outputType(context),
    lets: `  let row = index / ${classes};
  let label = i32(x2(row));
  let known = label >= 0 && label < ${classes};
  let hit = select(0.0, 1.0, label == index % ${classes});
  let factor = select(nan(), x0(0) * x3(row), known);`,
    value: 'factor * (x1(index) - hit)',
  });
  return [gradient];
};

export const CROSS_ENTROPY: LoweringTable = {
  SoftmaxCrossEntropy: softmaxCrossEntropy,
  SoftmaxCrossEntropyGrad: softmaxCrossEntropyGradient,
};
