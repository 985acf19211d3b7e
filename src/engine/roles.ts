/**
 * What the nodes of a program are for, told from the graph alone, so that every executor's profile means the same:
 * what the loss depends on is the forward pass, what else the optimiser reads is the backward pass, the rest is the
 * update. Forward nodes that are computed a second time are part of the backward pass.
 */
import type { Graph, Node } from '../onnx/graph';
import type { ProfiledKernel } from '../protocol/profile';
import { isOptimiser } from './optimiser';
import { nodesFor } from './analysis';

export interface NodeRole {
  readonly phase: ProfiledKernel['phase'];
  /** The node of the model that it belongs to; itself where it was not made for another. */
  readonly origin: string;
}

/** The loss itself, or as a micro-step adds it up. */
const LOSS = /^loss_(numerator|denominator)(\/sum\/next)?$/;

/** By node name. A graph without a loss is all forward. */
export function rolesOf(graph: Graph): ReadonlyMap<string, NodeRole> {
  const losses = graph.outputs.map(({ name }) => name).filter((name) => LOSS.test(name));
  const forward = new Set(losses.length === 0 ? graph.nodes : nodesFor(graph.nodes, losses));
  const optimisers = graph.nodes.filter(isOptimiser);
  const update = new Set<Node>();
  if (optimisers.length > 0) {
    const learning = nodesFor(
      graph.nodes,
      optimisers.flatMap(({ inputs }) => inputs.filter((name) => name !== '')),
    );
    const needed = new Set(learning);
    for (const node of graph.nodes) if (!needed.has(node)) update.add(node);
  }
  const phaseOf = (node: Node): NodeRole['phase'] =>
    forward.has(node) ? 'forward' : update.has(node) ? 'update' : 'backward';
  return new Map(
    graph.nodes.map((node) => [
      node.name,
      { phase: phaseOf(node), origin: node.origin ?? node.name },
    ]),
  );
}

/** The model's nodes behind several of a program's, in their order. */
export function originsOf(
  roles: ReadonlyMap<string, NodeRole>,
  nodes: readonly string[],
): readonly string[] {
  return [...new Set(nodes.map((name) => roles.get(name)?.origin ?? name))];
}
