/**
 * Takes a trained classifier apart and puts a new head on its body: pure edits of graphs, found by structure and
 * not by names, since every exporter has its own.
 */
import { AppError } from '../core/errors';
import { GraphBuilder } from '../onnx/builder';
import { pruneUnused, withOutputs } from '../onnx/compose';
import { attr } from '../onnx/graph';
import type { Dim, Graph, Node, TensorType } from '../onnx/graph';
import { intAttribute } from '../ops/attributes';
import { infer } from '../ops/infer-shapes';
import { numbersOf } from '../ops/value';
import { blocksTo } from './blocks';
import type { Block } from './blocks';
import { ancestorsOf, producersOf, readersOf, traceFlow } from './flow';
import { prepareForeign } from './foreign';
import { clearOf } from './new-head';

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
  const graph = clearOf(open, new Set(['embedding']));
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
