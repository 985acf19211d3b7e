/**
 * NegativeLogLikelihoodLoss: (log-probabilities [N, C, d…], target [N, d…], weight [C]?) -> loss.
 *   l[n, d…] = −weight[t] · x[n, t, d…] with t = target[n, d…], and 0 where t is `ignore_index`
 *   reduction: none | sum | mean, where the mean divides by the weights of the targets that count.
 * The same as torch.nn.NLLLoss.
 */
import { AppError } from '../../core/errors';
import { attr } from '../../onnx/graph';
import type { Dim, Node, TensorType } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import { intAttribute, stringAttribute, unsupported } from '../attributes';
import type { ExpansionContext, InferContext, OpSpec, Value } from '../define';
import { cast, emitter } from '../gradients';
import { aroundAxis, dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

type Reduction = 'none' | 'sum' | 'mean';

function reductionOf(node: Node): Reduction {
  const name = stringAttribute(node, 'reduction', 'mean');
  if (name === 'none' || name === 'sum' || name === 'mean') return name;
  throw unsupported(node, `reduces its loss by "${name}"`);
}

function ignored(node: Node): number | undefined {
  return node.attributes.has('ignore_index') ? intAttribute(node, 'ignore_index') : undefined;
}

/** Type of the loss; checks that scores, targets and weights fit. */
export function lossType(context: InferContext): TensorType {
  const { node } = context;
  const x = inputType(context, 0);
  const target = inputType(context, 1);
  if (x.dims.length < 2) throw shapeError(node, 'input 0', 'of rank 2 or more', shapeText(x.dims));
  const expected = x.dims.filter((_, axis) => axis !== 1);
  const differs = (a: Dim, b: Dim | undefined) =>
    b === undefined || (typeof a === 'number' && typeof b === 'number' && a !== b);
  if (
    target.dims.length !== expected.length ||
    expected.some((dim, axis) => differs(dim, target.dims[axis]))
  ) {
    throw shapeError(node, 'target', shapeText(expected), shapeText(target.dims));
  }
  const weight = context.inputs[2];
  if (weight && (weight.dims.length !== 1 || differs(dimAt(x.dims, 1), weight.dims[0]))) {
    throw shapeError(node, 'weight', shapeText([dimAt(x.dims, 1)]), shapeText(weight.dims));
  }
  return { dtype: x.dtype, dims: reductionOf(node) === 'none' ? target.dims : [] };
}

export function negativeLogLikelihood(
  node: Node,
  logP: Value,
  target: Value,
  weight: Value | undefined,
): Value {
  const { length: classes, inner } = aroundAxis(logP.dims, 1);
  const ignore = ignored(node);
  const reduction = reductionOf(node);
  const losses = makeValue(logP.dtype, target.dims);
  let total = 0;
  let weights = 0;
  target.data.forEach((label, i) => {
    if (label === ignore) return;
    if (!(label >= 0 && label < classes)) {
      throw new AppError(
        'training/label',
        `Target ${i} of node "${node.name}" (${node.op}) is ${label}; there are ${classes} classes.`,
        { node: node.name, label, classes },
      );
    }
    const row = Math.floor(i / inner) * classes + label;
    const share = weight ? (weight.data[label] as number) : 1;
    const loss = -share * (logP.data[row * inner + (i % inner)] as number);
    losses.data[i] = loss;
    total += loss;
    weights += share;
  });
  if (reduction === 'none') return losses;
  const result = reduction === 'sum' ? total : total / weights;
  return makeValue(logP.dtype, [], Float64Array.of(result));
}

/** Classes along axis 1 of rank `rank`, to compare targets with. */
function classNumbers(builder: GraphBuilder, classes: number, rank: number): string {
  return builder.constant(
    'int64',
    Array.from({ length: rank }, (_, axis) => (axis === 1 ? classes : 1)),
    Array.from({ length: classes }, (_, index) => index),
  );
}

export function expandLikelihood(context: ExpansionContext, logP: string, source: string): string {
  const { node, builder, type } = context;
  const [, targets = '', weight = ''] = node.inputs;
  const { dtype, dims } = type(source);
  const e = emitter(builder, dtype);
  const target = cast(builder, targets, 'int64');
  const ignore = ignored(node);
  const counts =
    ignore === undefined
      ? undefined
      : e('Not', e('Equal', target, builder.constant('int64', [], [ignore])));
  const reduce = (value: string, axes?: readonly number[]) =>
    builder.node('ReduceSum', axes ? [value, builder.ints(axes)] : [value], {
      keepdims: attr.int(0),
    });
  // Picked by Where, not by a product: −∞ · 0 would be NaN.
  const column = builder.node('Unsqueeze', [target, builder.ints([1])]);
  const hit = e('Equal', column, classNumbers(builder, dimAt(dims, 1), dims.length));
  const picked = (value: string) => {
    const sum = reduce(e('Where', hit, value, 0), [1]);
    return counts === undefined ? sum : e('Where', counts, sum, 0);
  };
  const wide = dims.map((_, axis) => (axis === 1 ? dimAt(dims, 1) : 1));
  const shares =
    weight === '' ? undefined : picked(builder.node('Reshape', [weight, builder.ints(wide)]));
  const likelihood = e('Neg', picked(logP));
  const losses = shares === undefined ? likelihood : e('Mul', likelihood, shares);
  const reduction = reductionOf(node);
  if (reduction === 'none') return losses;
  if (reduction === 'sum') return reduce(losses);
  if (shares !== undefined) return e('Div', reduce(losses), reduce(shares));
  if (counts !== undefined) return e('Div', reduce(losses), reduce(cast(builder, counts, dtype)));
  return builder.node('ReduceMean', [losses], { keepdims: attr.int(0) });
}

export const negativeLogLikelihoodSpec: OpSpec = {
  name: 'NegativeLogLikelihoodLoss',
  domain: '',
  inputs: [2, 3],
  infer: (context) => [lossType(context)],
  reference: (node, inputs) => [
    negativeLogLikelihood(
      node,
      inputValue(node, inputs, 0),
      inputValue(node, inputs, 1),
      inputs[2],
    ),
  ],
  expand: (context) => {
    const [logP = ''] = context.node.inputs;
    return [expandLikelihood(context, logP, logP)];
  },
};
