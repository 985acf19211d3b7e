/**
 * Where a model's weights are, and which values carry what they made of its input. Decided by the ports that an
 * initialiser feeds, because exported models name their weights as they please.
 */
import { ownValue } from '../core/own-value';
import { isFloat, sizeOf } from '../core/dtype';
import type { Graph, Node } from '../onnx/graph';
import { infer } from '../ops/infer-shapes';

/** Ports at which an initialiser is a weight, whatever it is multiplied with. */
const WEIGHT_PORTS: Readonly<Record<string, readonly number[]>> = {
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  Gemm: [0, 1, 2],
  MatMul: [0, 1],
  BatchNormalization: [1, 2],
  InstanceNormalization: [1, 2],
  LayerNormalization: [1, 2],
  GroupNormalization: [1, 2],
  RMSNormalization: [1],
  PRelu: [1],
  Gather: [0],
  Einsum: [0, 1, 2],
  LSTM: [1, 2, 3, 7],
  GRU: [1, 2, 3],
  RNN: [1, 2, 3],
};
/** Operators in which an initialiser is a weight only beside a value that weights made: biases, layer scales. */
const JOINING: ReadonlySet<string> = new Set(['Add', 'Sub', 'Mul', 'Div', 'Concat']);
/** A constant with such numbers masks; it is not learned. */
const MASK_BOUND = 1e4;
/** Operators that pass a weight on in another shape. */
const PASSING: ReadonlySet<string> = new Set([
  'Identity',
  'Transpose',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Expand',
]);

export interface Flow {
  readonly producers: ReadonlyMap<string, Node>;
  readonly readers: ReadonlyMap<string, readonly Node[]>;
  /** Float values that depend on an input of the graph and on a weight. */
  readonly carries: ReadonlySet<string>;
  /** Weights that each node (by name) reads, in the order of its ports. */
  readonly weights: ReadonlyMap<string, readonly string[]>;
}

export function producersOf(graph: Graph): Map<string, Node> {
  return new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
}

export function readersOf(graph: Graph): Map<string, Node[]> {
  const readers = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    for (const name of new Set(node.inputs)) {
      const known = readers.get(name);
      if (known) known.push(node);
      else readers.set(name, [node]);
    }
  }
  return readers;
}

/** The float initialiser behind a value, through nodes that only reshape it. */
function weightBehind(
  graph: Graph,
  producers: ReadonlyMap<string, Node>,
  value: string,
): string | undefined {
  let name = value;
  for (;;) {
    const tensor = graph.initializers.get(name);
    if (tensor) return isFloat(tensor.dtype) ? name : undefined;
    const node = producers.get(name);
    if (!node || !PASSING.has(node.op)) return undefined;
    name = node.inputs[0] ?? '';
  }
}

function couldLearn(graph: Graph, name: string): boolean {
  const { data, dims } = graph.initializers.get(name) ?? { data: [], dims: [] };
  if (sizeOf(dims) < 2) return false;
  for (const value of data) if (!(Math.abs(Number(value)) < MASK_BOUND)) return false;
  return true;
}

/** @param graph prepared by `prepareForeign` */
export function traceFlow(graph: Graph): Flow {
  const { types } = infer(graph);
  const producers = producersOf(graph);
  const carries = new Set<string>();
  const fed = new Set(graph.inputs.map(({ name }) => name));
  const weights = new Map<string, readonly string[]>();
  for (const node of graph.nodes) {
    if (!node.inputs.some((name) => fed.has(name))) continue;
    for (const name of node.outputs) fed.add(name);
    const ports = node.domain === '' ? ownValue(WEIGHT_PORTS, node.op) : undefined;
    const reached = node.inputs.some((name) => carries.has(name));
    const joins = node.domain === '' && JOINING.has(node.op) && reached;
    const own = node.inputs.flatMap((value, port) => {
      if (value === '' || (!joins && !ports?.includes(port))) return [];
      const name = weightBehind(graph, producers, value);
      return name !== undefined && (!joins || couldLearn(graph, name)) ? [name] : [];
    });
    if (own.length > 0) weights.set(node.name, [...new Set(own)]);
    if (!reached && own.length === 0) continue;
    for (const name of node.outputs) {
      const type = types.get(name);
      if (type && isFloat(type.dtype)) carries.add(name);
    }
  }
  return { producers, readers: readersOf(graph), carries, weights };
}

/** Nodes on which `value` depends, itself included, in the graph's order. */
export function ancestorsOf(graph: Graph, value: string): Node[] {
  const wanted = new Set([value]);
  const kept: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((name) => wanted.has(name))) continue;
    kept.push(node);
    for (const name of node.inputs) if (name !== '') wanted.add(name);
  }
  return kept.reverse();
}
