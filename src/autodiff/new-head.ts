/**
 * A new head for a body: built by itself, and put on. Names are part of the contract: a head that learned on the
 * body's kept answers fits the whole model by the names of its weights.
 */
import { AppError } from '../core/errors';
import { normals } from '../core/philox';
import { GraphBuilder } from '../onnx/builder';
import { concatGraphs, renameValues } from '../onnx/compose';
import { attr } from '../onnx/graph';
import type { Graph, Tensor } from '../onnx/graph';

export interface HeadOptions {
  readonly classes: number;
  /** Width of a hidden layer; 0 for a linear head. */
  readonly hidden: number;
  readonly dropout: number;
  readonly seed: number;
}

/** The graph with inner values and nodes of these names called otherwise. */
export function clearOf(graph: Graph, reserved: ReadonlySet<string>): Graph {
  const taken = new Set([
    ...graph.initializers.keys(),
    ...graph.inputs.map(({ name }) => name),
    ...graph.nodes.flatMap(({ name, outputs }) => [name, ...outputs]),
  ]);
  const renamed = new Map<string, string>();
  for (const name of reserved) {
    if (!taken.has(name)) continue;
    let index = 1;
    while (taken.has(`${name}_${index}`) || reserved.has(`${name}_${index}`)) index++;
    renamed.set(name, `${name}_${index}`);
  }
  return renameValues(graph, renamed);
}

/** Weights of a head that `withHead` makes: they always learn as a whole. */
export const HEAD_WEIGHTS: readonly string[] = [
  ...['head.hidden.weight', 'head.hidden.bias', 'head.weight', 'head.bias'],
];

/** Names of its nodes and values. */
const HEAD_NAMES = [
  ...HEAD_WEIGHTS,
  ...['head', 'head.dropout', 'head.dropout_out', 'head.relu', 'head.relu_out', 'head.ratio'],
  ...['head.hidden', 'head.hidden_out', 'head.hidden.dropout', 'head.hidden.dropout_out'],
];

/** Names that a run and a finished model give to values of their own. */
const RUN_NAMES = [
  ...['features', 'labels', 'sample_weight', 'learning_rate', 'learning_rate_factors', 'step'],
  ...['clip_norm', 'loss_numerator', 'loss_denominator', 'loss_probabilities', 'row_loss'],
  ...['dropout_key', 'micro_step', 'loss_scale', 'loss_scale/good', 'loss_scale/norm'],
  ...['loss_scale/used', 'loss_numerator/sum', 'loss_denominator/sum'],
  ...['grad_norm', 'step_done', 'logits', 'probabilities', 'prediction', 'numeric', 'image'],
];

/**
 * The head by itself: `features` [batch, features] -> `logits` [batch, classes]. Its weights have the names that
 * they have in `withHead`, so a head learned on cached features fits the whole model.
 */
export function headGraph(features: number, options: HeadOptions): Graph {
  const { classes, hidden, dropout, seed } = options;
  const builder = new GraphBuilder('head');
  let value = builder.input('features', 'float32', ['batch', features]);
  let width = features;
  const drop = (name: string) => {
    if (dropout === 0) return;
    value = builder.node('Dropout', [value, ratio], {}, { name, outputs: [`${name}_out`] });
  };
  const ratio =
    dropout === 0
      ? ''
      : builder.initializer('head.ratio', {
          dtype: 'float32',
          dims: [],
          data: Float32Array.of(dropout),
        });
  const dense = (name: string, out: number, deviation: number, output: string) => {
    const data = normals(out * width, deviation, seed, `init:${name}.weight`);
    const weight: Tensor = { dtype: 'float32', dims: [out, width], data };
    const bias: Tensor = { dtype: 'float32', dims: [out], data: new Float32Array(out) };
    const inputs = [
      value,
      builder.initializer(`${name}.weight`, weight),
      builder.initializer(`${name}.bias`, bias),
    ];
    value = builder.node('Gemm', inputs, { transB: attr.int(1) }, { name, outputs: [output] });
    width = out;
  };
  drop('head.dropout');
  if (hidden > 0) {
    // He et al. 2015 before the rectifier, Glorot and Bengio 2010 before the logits, as blueprints do.
    dense('head.hidden', hidden, Math.sqrt(2 / width), 'head.hidden_out');
    value = builder.node('Relu', [value], {}, { name: 'head.relu', outputs: ['head.relu_out'] });
    drop('head.hidden.dropout');
  }
  dense('head', classes, Math.sqrt(2 / (width + classes)), 'logits');
  builder.output('logits', 'float32', ['batch', classes]);
  return builder.build();
}

/**
 * A forward graph as the trainer wants it: the body, whose input becomes `features`, and a new head.
 * @param body from `bodyOf`
 * @throws AppError `surgery/input` where the body has more than one input
 */
export function withHead(body: Graph, options: HeadOptions): Graph {
  const [input, second] = body.inputs;
  const [embedding] = body.outputs;
  const width = embedding?.dims[1];
  if (!input || second) {
    throw new AppError(
      'surgery/input',
      `A model that learns here has one input; this one has ${body.inputs.length} (${body.inputs.map(({ name }) => name).join(', ')}).`,
      { inputs: body.inputs.map(({ name }) => name) },
    );
  }
  if (embedding?.name !== 'embedding' || typeof width !== 'number') {
    throw new AppError('surgery/body', 'A body ends with "embedding" of shape [batch, features].');
  }
  const reserved = [...HEAD_NAMES, ...RUN_NAMES].filter((name) => name !== input.name);
  const clear = clearOf(body, new Set(reserved));
  const named = renameValues(clear, new Map([[input.name, 'features']]));
  // The head's own input name would meet the body's.
  const head = renameValues(headGraph(width, options), new Map([['features', 'embedding_in']]));
  return concatGraphs(named, head, { embedding_in: 'embedding' }, { name: body.name });
}
