/**
 * Softmax cross-entropy: (logits [B, K], labels [B] int32, sample_weight [B]) ->
 * (loss_numerator [], loss_denominator [], probabilities [B, K]).
 *   p = softmax(logits), numerator = −Σᵢ wᵢ · log p[i, labelᵢ], denominator = Σᵢ wᵢ
 * Bridle 1990; Goodfellow, Bengio & Courville 2016, section 6.2.2.3.
 */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import { AppError } from '../../core/errors';
import { makeNode } from '../nodes';
import type { Expansion, OpSpec, ReferenceKernel } from '../define';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { softmax } from '../Softmax/spec';
import { inputValue, makeValue } from '../value';

const reference: ReferenceKernel = (node, inputs) => {
  const logits = inputValue(node, inputs, 0);
  const labels = inputValue(node, inputs, 1);
  const weights = inputValue(node, inputs, 2);
  const alongRows = makeNode('LogSoftmax', node.inputs, { axis: attr.int(1) });
  const logP = softmax(alongRows, logits, true);
  const classes = dimAt(logits.dims, 1);
  const numerator = makeValue(logits.dtype, []);
  const denominator = makeValue(logits.dtype, []);
  for (let i = 0; i < labels.data.length; i++) {
    const label = labels.data[i] as number;
    const weight = weights.data[i] as number;
    if (!(label >= 0 && label < classes)) {
      throw new AppError(
        'training/label',
        `Row ${i} of the batch has label ${label}, but the model knows classes 0 to ${classes - 1}.`,
        { row: i, label, classes },
      );
    }
    const loss = -(logP.data[i * classes + label] as number);
    // A row of weight 0 counts nothing, even where its loss is infinite.
    if (weight !== 0) numerator.data[0] = (numerator.data[0] as number) + weight * loss;
    denominator.data[0] = (denominator.data[0] as number) + weight;
  }
  return [numerator, denominator, makeValue(logits.dtype, logits.dims, logP.data.map(Math.exp))];
};

/** [B, K] float32 of 0 and 1. */
export function oneHot(builder: GraphBuilder, labels: string, classes: number): string {
  // onnxruntime implements few type combinations of OneHot; int64 indices with float values are among them.
  const index = builder.node('Cast', [labels], { to: attr.int(7) });
  return builder.node(
    'OneHot',
    [index, builder.ints([classes]), builder.constant('float32', [2], [0, 1])],
    { axis: attr.int(-1) },
  );
}

const expand: Expansion = ({ node, builder, type }) => {
  const [logits, labels, weights] = node.inputs;
  if (!logits || !labels || !weights) return [];
  const hot = oneHot(builder, labels, dimAt(type(logits).dims, 1));
  const logP = builder.node('LogSoftmax', [logits], { axis: attr.int(1) });
  const rows = builder.node('ReduceSum', [builder.node('Mul', [logP, hot]), builder.ints([1])], {
    keepdims: attr.int(0),
  });
  const all = { keepdims: attr.int(0) };
  const total = builder.node('ReduceSum', [builder.node('Mul', [rows, weights])], all);
  return [
    builder.node('Neg', [total]),
    builder.node('ReduceSum', [weights], all),
    builder.node('Exp', [logP]),
  ];
};

export const softmaxCrossEntropySpec: OpSpec = {
  name: 'SoftmaxCrossEntropy',
  domain: TRAINING_DOMAIN,
  inputs: [3, 3],
  infer: (context) => {
    const logits = inputType(context, 0);
    if (logits.dims.length !== 2) {
      throw shapeError(context.node, 'logits', '[batch, classes]', shapeText(logits.dims));
    }
    for (const [index, port] of [
      [1, 'labels'],
      [2, 'sample_weight'],
    ] as const) {
      const { dims } = inputType(context, index);
      if (dims.length !== 1 || dims[0] !== logits.dims[0]) {
        throw shapeError(context.node, port, shapeText([dimAt(logits.dims, 0)]), shapeText(dims));
      }
    }
    const scalar = { dtype: logits.dtype, dims: [] };
    return [scalar, scalar, logits];
  },
  reference,
  gradient: ({ node, builder, outputGradients }) => {
    const [g] = outputGradients;
    const [, labels, weights] = node.inputs;
    const probabilities = node.outputs[2];
    if (!g || !labels || !weights || !probabilities) return [];
    return [
      builder.node(
        'SoftmaxCrossEntropyGrad',
        [g, probabilities, labels, weights],
        {},
        {
          domain: TRAINING_DOMAIN,
        },
      ),
    ];
  },
  expand,
};
