/**
 * Every operator that exists only while a model learns, each as a graph of that one node with the inputs it really
 * gets: cut out of the gradients of ordinary layers over random windows, norms, masks and losses.
 */
import fc from 'fast-check';
import { isFloat } from '../../src/core/dtype';
import { runGraph } from '../../src/engine/reference/run-graph';
import { isOptimiser } from '../../src/engine/optimiser';
import { attr, TRAINING_DOMAIN } from '../../src/onnx/graph';
import type { Graph, Node, Tensor, ValueInfo } from '../../src/onnx/graph';
import { tensorOf } from '../../src/ops/value';
import { given, gradientGraph, randomNumbers, uniform } from './calls';
import type { Argument, Call } from './calls';
import { windowArbitrary, windowCall } from './windows';

export interface TrainingCall {
  readonly op: string;
  readonly graph: Graph;
  readonly feeds: ReadonlyMap<string, Tensor>;
}

const WINDOW_OPS = ['Conv', 'ConvTranspose', 'MaxPool', 'AveragePool', 'LpPool'] as const;
/** Windows an operator: what the browser manages in seconds. */
const WINDOWS = 6;

/** What makes the conditions hold that its operator puts on an argument. */
const constant = (argument: Argument): Argument => ({ ...argument, constant: true });

function norm(dims: readonly number[], seed: number): Call {
  const random = randomNumbers(seed);
  const channels = [dims[1] ?? 1];
  return {
    op: 'BatchNormTrain',
    domain: TRAINING_DOMAIN,
    inputs: [
      uniform(random, dims, -2, 4),
      uniform(random, channels),
      uniform(random, channels),
      constant(uniform(random, channels)),
      constant(uniform(random, channels, 0.5, 2)),
    ],
    attributes: { epsilon: attr.float(1e-3), momentum: attr.float(0.8) },
    outputs: 5,
  };
}

function loss(rows: number, classes: number, spread: number): Call {
  const random = randomNumbers(rows * classes);
  const labels = Array.from({ length: rows }, () => Math.floor(random() * classes));
  const weights = Array.from({ length: rows }, (_, row) => (row % 3 === 1 ? 0 : random() * 2));
  return {
    op: 'SoftmaxCrossEntropy',
    domain: TRAINING_DOMAIN,
    inputs: [
      uniform(random, [rows, classes], -spread, spread),
      given('int32', [rows], labels, true),
      given('float32', [rows], weights.map(Math.fround), true),
    ],
    outputs: 3,
  };
}

function dropout(dims: readonly number[]): Call {
  const random = randomNumbers(dims.length);
  const mask = uniform(random, dims, 0, 1);
  const kept = mask.data.map((value) => (value < 0.25 ? 0 : Math.fround(4 / 3)));
  const inputs = [uniform(random, dims), constant({ ...mask, data: kept })];
  return { op: 'DropoutTrain', domain: TRAINING_DOMAIN, inputs };
}

/** Layer and RMS norms over the axes from `axis` on. */
function rowNorm(op: string, dims: readonly number[], axis: number): Call {
  const random = randomNumbers(dims.length + axis);
  const parameters = op === 'LayerNormalization' ? 2 : 1;
  const own = Array.from({ length: parameters }, () => uniform(random, dims.slice(axis), 0.5, 2));
  const attributes = { axis: attr.int(axis), epsilon: attr.float(1e-3) };
  return { op, inputs: [uniform(random, dims, -2, 3), ...own], attributes };
}

/** Queries and keys of unequal number, heads that share keys, both layouts, open and causal. */
export function attentionCalls(): Call[] {
  const random = randomNumbers(17);
  const [batch, heads, keyHeads, size, valueSize] = [2, 4, 2, 3, 5];
  return [0, 1].flatMap((causal) =>
    [
      [4, 4, heads],
      [3, 6, keyHeads],
      [5, 2, keyHeads],
    ].flatMap(([queries = 0, keys = 0, own = 0]): Call[] => {
      const plain = { is_causal: attr.int(causal) };
      const flat = {
        ...plain,
        q_num_heads: attr.int(heads),
        kv_num_heads: attr.int(own),
        scale: attr.float(0.75),
      };
      const wide = (length: number, count: number, width: number) => ({
        flat: uniform(random, [batch, length, count * width], -2, 2),
        apart: uniform(random, [batch, count, length, width], -2, 2),
      });
      const inputs = [
        wide(queries, heads, size),
        wide(keys, own, size),
        wide(keys, own, valueSize),
      ];
      return [
        { op: 'Attention', inputs: inputs.map((each) => each.flat), attributes: flat },
        { op: 'Attention', inputs: inputs.map((each) => each.apart), attributes: plain },
      ];
    }),
  );
}

function activation(op: string, attributes: NonNullable<Call['attributes']>): Call {
  return { op, inputs: [uniform(randomNumbers(19), [4, 9], -6, 6)], attributes };
}

function lookup(rows: number, inner: readonly number[], indices: Argument): Call {
  const data = uniform(randomNumbers(rows), [rows, ...inner]);
  return { op: 'Gather', inputs: [data, constant(indices)], attributes: { axis: attr.int(0) } };
}

function layers(): Call[] {
  const windows = fc.sample(windowArbitrary, { numRuns: WINDOWS, seed: 41 });
  return [
    ...WINDOW_OPS.flatMap((op) => windows.map((window) => windowCall(op, window))),
    ...[
      [4, 3],
      [2, 3, 5],
      [3, 2, 4, 5],
      [2, 2, 3, 2, 3],
    ].map(norm),
    ...[loss(1, 2, 1), loss(7, 3, 4), loss(4, 10, 40), loss(65, 5, 2)],
    ...[[3], [2, 5], [2, 3, 4, 5]].map(dropout),
    ...['LayerNormalization', 'RMSNormalization'].flatMap((op) => [
      rowNorm(op, [7], 0),
      rowNorm(op, [3, 5], 1),
      rowNorm(op, [2, 3, 70], 2),
      rowNorm(op, [2, 3, 4, 5], 2),
    ]),
    ...attentionCalls(),
    ...['Gelu', 'Mish', 'HardSwish', 'Swish'].map((op) => activation(op, {})),
    activation('Gelu', { approximate: attr.string('tanh') }),
    activation('Swish', { alpha: attr.float(1.75) }),
    ...[0, -1].map((axis) => activation('Softmax', { axis: attr.int(axis) })),
    lookup(5, [3], given('int64', [2, 4], [4, 0, 4, -1, 2, 2, -5, 4])),
    lookup(4, [2, 3], given('int32', [3], [1, 1, 3])),
    lookup(3, [], given('int32', [], [-1])),
  ];
}

/** The node alone, its inputs fed as they are in the middle of the whole graph. */
function alone(node: Node, values: ReadonlyMap<string, Tensor>): TrainingCall {
  const feeds = new Map<string, Tensor>();
  const inputs: ValueInfo[] = [];
  for (const name of new Set(node.inputs)) {
    const tensor = values.get(name);
    if (name === '' || !tensor) continue;
    feeds.set(name, tensor);
    inputs.push({ name, dtype: tensor.dtype, dims: tensor.dims });
  }
  const outputs = node.outputs.flatMap((name): ValueInfo[] => {
    const tensor = values.get(name);
    return tensor && isFloat(tensor.dtype) ? [{ name, dtype: 'float32', dims: tensor.dims }] : [];
  });
  const graph: Graph = {
    name: node.op,
    opsets: new Map([
      ['', 23],
      [TRAINING_DOMAIN, 1],
    ]),
    ...{ inputs, outputs, nodes: [node], initializers: new Map(), valueInfo: new Map() },
    ...{ metadata: new Map(), docString: '' },
  };
  return { op: node.op, graph, feeds };
}

export function trainingCalls(): TrainingCall[] {
  return layers().flatMap((call, index) => {
    const wrt = call.inputs.flatMap((argument, port) =>
      argument && isFloat(argument.dtype) && !argument.constant ? [`x${port}`] : [],
    );
    const { graph, feeds } = gradientGraph(call, randomNumbers(index + 1), wrt);
    const nodes = graph.nodes.filter(
      (node) => node.domain === TRAINING_DOMAIN && !isOptimiser(node),
    );
    const names = new Set(nodes.flatMap(({ inputs, outputs }) => [...inputs, ...outputs]));
    names.delete('');
    const outputs = [...names].map((name): ValueInfo => ({ name, dtype: 'float32', dims: [] }));
    const values = runGraph({ ...graph, outputs }, feeds);
    const tensors = new Map([...values].map(([name, value]) => [name, tensorOf(value)]));
    return nodes.map((node) => alone(node, tensors));
  });
}
