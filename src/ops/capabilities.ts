/**
 * What a model is made of and what stands in the way of running or training it, node by node and with the reason.
 * Pure: looks at the graph and the registry, runs nothing.
 */
import { isFloat, sizeOf } from '../core/dtype';
import { AppError } from '../core/errors';
import type { Graph, Node, TensorType, ValueInfo } from '../onnx/graph';
import { readsOf, subgraphsOf } from '../onnx/subgraphs';
import type { ModelOrigin } from '../onnx/reader';
import { infer } from './infer-shapes';
import { lookupOp } from './registry';

export interface Blocker {
  /** Name of the node, as in the graph. */
  readonly node: string;
  /** Its operator, with the domain where that is not ai.onnx. */
  readonly op: string;
  readonly reason: string;
}

export interface ModelSummary {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Elements of all floating-point initialisers, those of subgraphs included. */
  readonly parameters: number;
  readonly weightBytes: number;
  /** Most frequent first; subgraphs included. */
  readonly operators: readonly { readonly op: string; readonly count: number }[];
  readonly nodes: number;
  /** What the file said of itself; absent for graphs that come from no file. */
  readonly origin?: ModelOrigin;
  readonly runBlockers: readonly Blocker[];
  readonly trainingBlockers: readonly Blocker[];
}

export function operatorName(node: Node): string {
  return node.domain === '' ? node.op : `${node.domain}.${node.op}`;
}

/** All nodes, those of subgraphs behind the node that holds them. */
export function* allNodes(graph: Graph): Generator<Node> {
  for (const node of graph.nodes) {
    yield node;
    for (const inner of subgraphsOf(node)) yield* allNodes(inner);
  }
}

/** The error that shape inference stops at, or the types it finds. */
function typesOf(graph: Graph): ReadonlyMap<string, TensorType> | AppError {
  try {
    return infer(graph).types;
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
}

function unknownOperators(graph: Graph): Blocker[] {
  const blockers: Blocker[] = [];
  for (const node of allNodes(graph)) {
    if (lookupOp(node.domain, node.op)) continue;
    const op = operatorName(node);
    blockers.push({ node: node.name, op, reason: `This version does not know ${op}.` });
  }
  return blockers;
}

/** Nodes that keep the model from running on the reference interpreter; empty where nothing does. */
export function runBlockers(graph: Graph): Blocker[] {
  const unknown = unknownOperators(graph);
  if (unknown.length > 0) return unknown;
  const types = typesOf(graph);
  if (!(types instanceof AppError)) return [];
  const { node, op } = types.data;
  return [
    {
      node: typeof node === 'string' ? node : '',
      op: typeof op === 'string' ? op : '',
      reason: types.message,
    },
  ];
}

/**
 * Nodes between something trainable and an output that gradients cannot pass.
 * @param trainable names of weights; all floating-point initialisers where absent
 */
export function trainingBlockers(graph: Graph, trainable?: ReadonlySet<string>): Blocker[] {
  const blockers = runBlockers(graph);
  if (blockers.length > 0) return blockers;
  const types = typesOf(graph);
  if (types instanceof AppError) return blockers;
  const changes = new Set<string>(trainable);
  if (!trainable) {
    for (const [name, { dtype }] of graph.initializers) if (isFloat(dtype)) changes.add(name);
  }
  const needed = new Set(graph.outputs.map(({ name }) => name));
  const leading = new Set<Node>();
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((name) => needed.has(name))) continue;
    leading.add(node);
    for (const name of readsOf(node)) needed.add(name);
  }
  for (const node of graph.nodes) {
    if (!leading.has(node) || !readsOf(node).some((name) => changes.has(name))) continue;
    const differentiable = node.outputs.filter((name) => {
      const type = types.get(name);
      return type !== undefined && isFloat(type.dtype);
    });
    if (differentiable.length === 0) continue;
    for (const name of differentiable) changes.add(name);
    const spec = lookupOp(node.domain, node.op);
    if (spec?.gradient ?? spec?.expand) continue;
    const op = operatorName(node);
    blockers.push({ node: node.name, op, reason: `${op} has no gradient.` });
  }
  return blockers;
}

/** @param origin as `readModelFile` gives it */
export function inspectModel(graph: Graph, origin?: ModelOrigin): ModelSummary {
  const counts = new Map<string, number>();
  let nodes = 0;
  for (const node of allNodes(graph)) {
    const op = operatorName(node);
    counts.set(op, (counts.get(op) ?? 0) + 1);
    nodes++;
  }
  const weights = weightsOf(graph);
  return {
    inputs: graph.inputs,
    outputs: graph.outputs,
    ...weights,
    operators: [...counts]
      .map(([op, count]) => ({ op, count }))
      .sort((a, b) => b.count - a.count || (a.op < b.op ? -1 : 1)),
    nodes,
    ...(origin && { origin }),
    runBlockers: runBlockers(graph),
    trainingBlockers: trainingBlockers(graph),
  };
}

function weightsOf(graph: Graph): { parameters: number; weightBytes: number } {
  let parameters = 0;
  let weightBytes = 0;
  for (const { dtype, dims, data } of graph.initializers.values()) {
    if (isFloat(dtype)) parameters += sizeOf(dims);
    if (!Array.isArray(data)) weightBytes += data.byteLength;
  }
  for (const node of graph.nodes) {
    for (const inner of subgraphsOf(node)) {
      const own = weightsOf(inner);
      parameters += own.parameters;
      weightBytes += own.weightBytes;
    }
  }
  return { parameters, weightBytes };
}
