/**
 * The reference interpreter: runs a graph node by node in float64 on plain arrays. It is the oracle of the other
 * executors, runs recipes while data is prepared, and is what the exported page runs: no dependencies, no
 * waiting, nothing of a browser or of Node.
 */
import { AppError } from '../../core/errors';
import { sizeOf, storedLength } from '../../core/dtype';
import { decodeNumbers, encodeNumbers } from '../../core/number-format';
import type { Graph, Node, Tensor } from '../../onnx/graph';
import type { OpSpec, ReferenceScope, Value } from '../../ops/define';
import { requireOp } from '../../ops/registry';
import { shapeText } from '../../ops/shapes';
import { valueOf } from '../../ops/value';

interface Step {
  readonly node: Node;
  readonly spec: OpSpec;
  /** Values that nothing reads after this step. */
  readonly free: readonly string[];
}

interface Plan {
  readonly steps: readonly Step[];
  readonly constants: ReadonlyMap<string, Value>;
}

const plans = new WeakMap<Graph, Plan>();

/** Values of this graph that the node's subgraphs read. */
function outerReads(node: Node): string[] {
  const read: string[] = [];
  for (const attribute of node.attributes.values()) {
    const graphs = attribute.type === 'graph' ? [attribute.value] : [];
    if (attribute.type === 'graphs') graphs.push(...attribute.value);
    for (const { nodes, outputs } of graphs) {
      for (const inner of nodes) read.push(...inner.inputs, ...outerReads(inner));
      read.push(...outputs.map(({ name }) => name));
    }
  }
  return read;
}

/** Nodes the outputs need, with their kernels and the values that die at each. */
function planOf(graph: Graph): Plan {
  const known = plans.get(graph);
  if (known) return known;
  const live = new Set(graph.outputs.map(({ name }) => name));
  const steps: Step[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((name) => live.has(name))) continue;
    const free: string[] = [];
    for (const name of [...node.inputs, ...outerReads(node)]) {
      if (name === '' || live.has(name)) continue;
      live.add(name);
      free.push(name);
    }
    steps.push({ node, spec: requireOp(node), free });
  }
  const constants = new Map<string, Value>();
  for (const [name, tensor] of graph.initializers) {
    if (live.has(name)) constants.set(name, valueOf(tensor));
  }
  const plan = { steps: steps.reverse(), constants };
  plans.set(graph, plan);
  return plan;
}

function feedValue(name: string, feed: Value | Tensor): Value {
  // The interpreter's own values are one a place; of a tensor's 4-bit numbers two share one.
  const own = feed.data instanceof Float64Array;
  const needed = own ? sizeOf(feed.dims) : storedLength(feed.dtype, sizeOf(feed.dims));
  if (feed.data.length !== needed) {
    throw new AppError(
      'engine/feed',
      `The input "${name}" has ${feed.data.length} values, but its shape ${shapeText(feed.dims)} ` +
        `needs ${needed}.`,
      { name, dims: feed.dims, length: feed.data.length },
    );
  }
  return feed.data instanceof Float64Array ? { ...feed, data: feed.data } : valueOf(feed);
}

export interface RunOptions {
  /** Each value is rounded to its element type, as executors do that hold it so; else all is float64. */
  readonly rounded?: boolean;
  /** Runs each node of the graph itself, to time it; gives what `run` gives. */
  readonly watch?: Watch;
}

export type Watch = (
  node: Node,
  inputs: readonly (Value | undefined)[],
  run: () => readonly Value[],
) => readonly Value[];

const UNWATCHED: Watch = (_node, _inputs, run) => run();

/** What is narrower than float64 in a way that shows. */
const EXACT = new Set<Value['dtype']>(['float64', 'int64', 'uint64', 'bool', 'string']);

function roundedValue(value: Value): Value {
  const { dtype, dims, data } = value;
  if (dtype === 'string' || EXACT.has(dtype)) return value;
  return { dtype, dims, data: decodeNumbers(dtype, encodeNumbers(dtype, data, false), dims) };
}

/**
 * Values of the graph's outputs. Feeds name graph inputs, or initialisers they replace.
 * @throws AppError `engine/feed` for a missing or misshapen feed, `onnx/…` for what a kernel refuses
 */
export function runGraph(
  graph: Graph,
  feeds: ReadonlyMap<string, Value | Tensor>,
  { rounded = false, watch = UNWATCHED }: RunOptions = {},
): Map<string, Value> {
  return runWithin(graph, feeds, new Map(), rounded, watch);
}

/** `outer`: what a subgraph sees of the graph around it. */
function runWithin(
  graph: Graph,
  feeds: ReadonlyMap<string, Value | Tensor>,
  outer: ReadonlyMap<string, Value>,
  rounded: boolean,
  watch: Watch,
): Map<string, Value> {
  const plan = planOf(graph);
  const values = new Map<string, Value>([...outer, ...plan.constants]);
  for (const [name, feed] of feeds) values.set(name, feedValue(name, feed));
  const missing = graph.inputs.find(({ name }) => !values.has(name));
  if (missing) {
    throw new AppError('engine/feed', `The model's input "${missing.name}" was not given.`, {
      name: missing.name,
    });
  }
  for (const { node, spec, free } of plan.steps) {
    const inputs = node.inputs.map((name) => {
      if (name === '') return undefined;
      const value = values.get(name);
      if (value) return value;
      throw new AppError(
        'onnx/graph',
        `Node "${node.name}" (${node.op}) reads "${name}", which nothing before it makes.`,
        { node: node.name, value: name },
      );
    });
    const scope: ReferenceScope = {
      run(subgraph, given) {
        const named = new Map(subgraph.inputs.map(({ name }, index) => [name, given[index]]));
        const fed = new Map([...named].flatMap(([name, value]) => (value ? [[name, value]] : [])));
        const results = runWithin(subgraph, fed, values, rounded, UNWATCHED);
        return subgraph.outputs.flatMap(({ name }) => results.get(name) ?? []);
      },
    };
    const outputs = watch(node, inputs, () => spec.reference(node, inputs, scope));
    for (const name of free) values.delete(name);
    node.outputs.forEach((name, index) => {
      const value = outputs[index];
      if (name !== '' && value) values.set(name, rounded ? roundedValue(value) : value);
    });
  }
  const results = new Map<string, Value>();
  for (const { name } of graph.outputs) {
    const value = values.get(name);
    if (!value) {
      throw new AppError('onnx/graph', `The graph's output "${name}" is made by no node.`, {
        name,
      });
    }
    results.set(name, value);
  }
  return results;
}
