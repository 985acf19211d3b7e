/**
 * Takes a trained classifier apart and puts a new head on its body: pure edits of graphs, found by structure and
 * not by names, since every exporter has its own.
 */
import { AppError } from '../core/errors';
import { normals } from '../core/philox';
import { GraphBuilder } from '../onnx/builder';
import { concatGraphs, pruneUnused, renameValues, withOutputs } from '../onnx/compose';
import { attr } from '../onnx/graph';
import type { Dim, Graph, Node, Tensor, TensorType } from '../onnx/graph';
import { intAttribute } from '../ops/attributes';
import { infer } from '../ops/infer-shapes';
import { numbersOf } from '../ops/value';
import { blocksTo } from './blocks';
import type { Block } from './blocks';
import { ancestorsOf, producersOf, readersOf, traceFlow } from './flow';
import { prepareForeign } from './foreign';

export type { Block } from './blocks';

export interface Head {
  /** Value that the classifier reads: what a new head reads instead. */
  readonly cut: string;
  /** Names of the nodes after the cut; empty where the model ends with its features. */
  readonly head: readonly string[];
  /** Width of the features at the cut. */
  readonly features: number;
  /** Classes of the old head; null where there is none. */
  readonly classes: number | null;
  /** The body from the input to the cut; the last one is next to the head. */
  readonly blocks: readonly Block[];
}

export interface CutCandidate {
  readonly value: string;
  /** Width of the embedding that a cut here gives. */
  readonly features: number;
  /** Name of the block that ends here. */
  readonly block: string;
}

export interface BodyOptions {
  /** Shape of one example, where the model leaves its lengths open: [channels, height, width]. */
  readonly inputDims?: readonly number[];
}

export interface HeadOptions {
  readonly classes: number;
  /** Width of a hidden layer; 0 for a linear head. */
  readonly hidden: number;
  readonly dropout: number;
  readonly seed: number;
}

/** What may stand after a classifier, or between it and its features, without being part of either. */
const AFTER = new Set([
  ...['Softmax', 'LogSoftmax', 'Sigmoid', 'Identity', 'Cast', 'Flatten', 'Reshape', 'Squeeze'],
]);
const BEFORE = new Set(['Dropout', 'Identity']);

/** Nodes of the classifier whose answer is `value`, and what it reads; undefined where there is none. */
function classifierBehind(
  graph: Graph,
  producers: ReadonlyMap<string, Node>,
  value: string,
): { cut: string; classes: number } | undefined {
  const weightDims = (name: string | undefined) => graph.initializers.get(name ?? '')?.dims;
  let name = value;
  let biased = false;
  for (;;) {
    const node = producers.get(name);
    if (!node) return undefined;
    const [x = '', w = ''] = node.inputs;
    const dims = weightDims(w);
    const rows = dims?.[0] ?? 0;
    const columns = dims?.[1] ?? 0;
    const pointwise = dims?.slice(2).every((length) => length === 1) ?? false;
    if (node.op === 'Gemm' && dims) {
      return { cut: x, classes: intAttribute(node, 'transB', 0) ? rows : columns };
    }
    if (node.op === 'MatMul' && dims?.length === 2) return { cut: x, classes: columns };
    if (node.op === 'Conv' && dims && pointwise) return { cut: x, classes: rows };
    if (node.op === 'Add' && !biased) {
      const [input, bias] = weightDims(w) ? [x, w] : [w, x];
      if (!weightDims(bias)) return undefined;
      biased = true;
      name = input;
    } else if (AFTER.has(node.op)) name = x;
    else return undefined;
  }
}

/** Length of a feature vector taken from a value of this type; undefined where it is open. */
function widthOf(type: TensorType | undefined, channelFirst: boolean): number | undefined {
  const dims = type?.dims ?? [];
  const width = dims.length === 2 || channelFirst ? dims[1] : dims.at(-1);
  return dims.length >= 2 && typeof width === 'number' ? width : undefined;
}

const IMAGE_OPS = new Set([
  ...['Conv', 'ConvTranspose', 'BatchNormalization', 'InstanceNormalization', 'GroupNormalization'],
  ...['MaxPool', 'AveragePool', 'GlobalAveragePool', 'GlobalMaxPool', 'Resize'],
]);
const OTHER_LAYOUT = new Set([
  ...['Transpose', 'Reshape', 'MatMul', 'Gemm', 'LayerNormalization', 'LSTM', 'GRU', 'RNN'],
  ...['Gather', 'Attention', 'Concat', 'Einsum'],
]);

/** Whether a feature map has its channels on axis 1, by the last operator before it that fixes a layout. */
function hasChannelsFirst(producers: ReadonlyMap<string, Node>, value: string): boolean {
  const seen = new Set<string>();
  const open = [value];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const node = producers.get(name);
    if (!node || seen.has(node.name)) continue;
    seen.add(node.name);
    if (IMAGE_OPS.has(node.op)) return true;
    if (OTHER_LAYOUT.has(node.op)) return false;
    open.push(...node.inputs.toReversed());
  }
  return true;
}

function noHead(graph: Graph): AppError {
  const ops = [...new Set(graph.nodes.slice(-3).map(({ op }) => op))].join(', ');
  return new AppError(
    'surgery/head',
    `The model does not end with a classifier or a feature vector (it ends with ${ops}). Choose a value to cut at.`,
    { graph: graph.name },
  );
}

/**
 * The classifier at the end of an exported model, and its body as blocks. A model that ends with features (a pooled
 * output) has an empty head.
 * @throws AppError `surgery/head` where the model ends with neither; `onnx/…` for operators that are not known
 */
export function findHead(foreign: Graph): Head {
  const graph = prepareForeign(foreign);
  const flow = traceFlow(graph);
  const { types } = infer(graph);
  const { producers } = flow;
  for (const { name } of graph.outputs) {
    const found = classifierBehind(graph, producers, name);
    if (!found) continue;
    let { cut } = found;
    for (;;) {
      const node = producers.get(cut);
      if (!node || !BEFORE.has(node.op)) break;
      cut = node.inputs[0] ?? '';
    }
    const features = widthOf(types.get(cut), hasChannelsFirst(producers, cut));
    if (features === undefined || !flow.carries.has(cut)) continue;
    const body = new Set(ancestorsOf(graph, cut).map((node) => node.name));
    const head = ancestorsOf(graph, name).flatMap((node) => (body.has(node.name) ? [] : node.name));
    return { cut, head, features, classes: found.classes, blocks: blocksTo(graph, flow, cut) };
  }
  // No classifier: a vector for each row, the last such output, is what pooled bodies give.
  for (const { name } of graph.outputs.toReversed()) {
    const type = types.get(name);
    const features = widthOf(type, true);
    const vector = type?.dims.slice(2).every((length) => length === 1) ?? false;
    if (!vector || features === undefined || !flow.carries.has(name)) continue;
    return { cut: name, head: [], features, classes: null, blocks: blocksTo(graph, flow, name) };
  }
  throw noHead(graph);
}

/** Blocks of a graph that `bodyOf` or `withHead` made, up to its embedding. */
export function bodyBlocks(graph: Graph): Block[] {
  return blocksTo(graph, traceFlow(graph), 'embedding');
}

/** Values at which a body can end, from the one next to the head backwards. */
export function cutCandidates(foreign: Graph): CutCandidate[] {
  const graph = prepareForeign(foreign);
  const { types } = infer(graph);
  const producers = producersOf(graph);
  return findHead(graph)
    .blocks.toReversed()
    .flatMap(({ name, output }) => {
      const features = widthOf(types.get(output), hasChannelsFirst(producers, output));
      return features === undefined ? [] : [{ value: output, features, block: name }];
    });
}

/** The input of the body, with an open batch axis, and everything that was exported for one row freed from it. */
function withOpenBatch(graph: Graph, options: BodyOptions): Graph {
  const [input] = graph.inputs;
  const length = input?.dims[0];
  if (!input || length === undefined) return graph;
  const rest = options.inputDims ?? input.dims.slice(1);
  if (options.inputDims && rest.length !== input.dims.length - 1) {
    throw new AppError(
      'surgery/input',
      `The model's input "${input.name}" has ${input.dims.length - 1} axes beside the batch, not ${rest.length}.`,
      { name: input.name, dims: input.dims },
    );
  }
  const inputs = graph.inputs.map((each, index) => {
    const dims: Dim[] = index === 0 ? ['batch', ...rest] : ['batch', ...each.dims.slice(1)];
    return { ...each, dims };
  });
  const freed = typeof length === 'number' ? reshapesFreed(graph, length) : graph;
  const open = { ...freed, inputs, valueInfo: new Map() };
  if (typeof length === 'number') checkOpens(open, length);
  return open;
}

/** Reshapes whose constant target starts with the exported batch length: 0 copies the axis instead. */
function reshapesFreed(graph: Graph, length: number): Graph {
  const { types } = infer(graph);
  const initializers = new Map(graph.initializers);
  const nodes = graph.nodes.map((node) => {
    const [x = '', shape = ''] = node.inputs;
    const tensor = node.op === 'Reshape' ? graph.initializers.get(shape) : undefined;
    const fixed = tensor && numbersOf(tensor)[0] === length && types.get(x)?.dims[0] === length;
    if (!tensor || !fixed || intAttribute(node, 'allowzero', 0) !== 0) return node;
    const name = `${node.name}/open_shape`;
    const target = BigInt64Array.from([0, ...numbersOf(tensor).slice(1)], BigInt);
    initializers.set(name, { dtype: 'int64', dims: tensor.dims, data: target });
    return { ...node, inputs: [x, name] };
  });
  return { ...graph, nodes, initializers };
}

function checkOpens(graph: Graph, length: number): void {
  try {
    const { types } = infer(graph, { batch: length + 1 });
    const [output] = graph.outputs;
    if (types.get(output?.name ?? '')?.dims[0] === length + 1) return;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw fixedBatch(length, error);
  }
  throw fixedBatch(length, undefined);
}

function fixedBatch(length: number, cause: AppError | undefined): AppError {
  return new AppError(
    'surgery/fixed-batch',
    `The model was exported for batches of ${length} row${length === 1 ? '' : 's'} and cannot take others. ` +
      'Export it with an open (dynamic) batch axis.',
    { length },
    cause,
  );
}

/**
 * The graph up to `cut`, its answer `embedding` of shape [batch, features]: feature maps are averaged over their
 * positions, sequences over their steps. Weights are float32 initialisers under their own names.
 * @throws AppError `surgery/cut`, `surgery/fixed-batch`, `surgery/input`
 */
export function bodyOf(foreign: Graph, cut: string, options: BodyOptions = {}): Graph {
  const prepared = prepareForeign(foreign);
  const producers = producersOf(prepared);
  if (!producers.has(cut)) {
    throw new AppError('surgery/cut', `The model has no value "${cut}" to cut at.`, { cut });
  }
  const dtype = 'float32' as const;
  const ended = pruneUnused(withOutputs(prepared, [{ name: cut, dtype, dims: [] }]));
  const readers = readersOf(ended);
  const used = { ...ended, inputs: ended.inputs.filter(({ name }) => readers.has(name)) };
  const open = withOpenBatch(used, options);
  const graph = withoutNames(open, new Set(['embedding']));
  const value = graph.outputs[0]?.name ?? cut;
  const { types } = infer(graph);
  const dims = types.get(value)?.dims ?? [];
  const channelFirst = hasChannelsFirst(producers, cut);
  const features = widthOf(types.get(value), channelFirst);
  if (features === undefined || dims.length < 2) {
    throw new AppError(
      'surgery/cut',
      `The value "${cut}" has the shape [${dims.join(', ')}], which gives no feature vector a row. Cut elsewhere, or give the size of the input.`,
      { cut, dims },
    );
  }
  const builder = GraphBuilder.from(graph, { dropOutputs: true });
  const made = { outputs: ['embedding'] };
  if (dims.length === 2) builder.node('Identity', [value], {}, made);
  else if (channelFirst) {
    const flat = dims.slice(2).every((length) => length === 1);
    const pooled = flat ? value : builder.node('GlobalAveragePool', [value]);
    builder.node('Flatten', [pooled], { axis: attr.int(1) }, made);
  } else {
    const axes = builder.ints(dims.slice(1, -1).map((_, index) => index + 1));
    builder.node('ReduceMean', [value, axes], { keepdims: attr.int(0) }, made);
  }
  builder.output('embedding', 'float32', ['batch', features]);
  return builder.build();
}

/** The graph with inner values and nodes of these names called otherwise. */
function withoutNames(graph: Graph, reserved: ReadonlySet<string>): Graph {
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
  const clear = withoutNames(body, new Set(reserved));
  const named = renameValues(clear, new Map([[input.name, 'features']]));
  // The head's own input name would meet the body's.
  const head = renameValues(headGraph(width, options), new Map([['features', 'embedding_in']]));
  return concatGraphs(named, head, { embedding_in: 'embedding' }, { name: body.name });
}
