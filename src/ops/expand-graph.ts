/**
 * Rewrites composite and training operators in simpler ones, so that an executor without kernels for them can run
 * the graph. What an expansion emits is expanded again until nothing is left to do. Optimisers have no expansion:
 * executors update weights themselves.
 */
import { invariant } from '../core/errors';
import { GraphBuilder } from '../onnx/builder';
import { TRAINING_DOMAIN } from '../onnx/graph';
import type { Graph, Node } from '../onnx/graph';
import { renameReads } from '../onnx/subgraphs';
import { infer, staticType } from './infer-shapes';
import { lookupOp } from './registry';

/** Composites of composites are three or four deep; more is an operator that expands into itself. */
const ROUNDS = 12;

/**
 * @param keep for a graph, as it is between two rounds, which nodes stay as they are, because the caller has a kernel
 * or a rule for them
 */
export function expandWhile(graph: Graph, keep: (graph: Graph) => (node: Node) => boolean): Graph {
  let current = graph;
  for (let round = 0; round < ROUNDS; round++) {
    const keeps = keep(current);
    const expandable = (node: Node) =>
      lookupOp(node.domain, node.op)?.expand !== undefined && !keeps(node);
    if (!current.nodes.some(expandable)) return current;
    current = expandOnce(current, expandable);
  }
  invariant(false, 'An operator expands into itself.');
}

/** @param keep nodes that stay as they are, whatever is around them */
export function expandOps(graph: Graph, keep: (node: Node) => boolean): Graph {
  return expandWhile(graph, () => keep);
}

/** For executors that have every standard operator but none of the training domain. */
export function expandTrainingOps(graph: Graph): Graph {
  return expandOps(graph, ({ domain }) => domain !== TRAINING_DOMAIN);
}

function expandOnce(graph: Graph, expandable: (node: Node) => boolean): Graph {
  const { types, constants } = infer(graph);
  // The builder holds the old nodes too, so that no generated name meets one of theirs.
  const builder = GraphBuilder.from(graph);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const renamed = new Map<string, string>();
  const nodes: Node[] = [];
  let emitted = graph.nodes.length;
  for (const given of graph.nodes) {
    const node: Node = renameReads(given, renamed);
    const expand = expandable(node) ? lookupOp(node.domain, node.op)?.expand : undefined;
    if (!expand) {
      nodes.push(node);
      continue;
    }
    // Types are known under the names of the graph as given.
    const original = new Map(node.inputs.map((name, index) => [name, given.inputs[index] ?? name]));
    builder.origin = given.origin ?? given.name;
    const made = expand({
      node,
      builder,
      type: (name) => staticType(types, original.get(name) ?? name),
      constant: (index) => constants.get(given.inputs[index] ?? ''),
    });
    given.outputs.forEach((name, index) => {
      const value = made[index];
      if (name === '' || value === undefined) return;
      if (!outputs.has(name)) renamed.set(name, value);
      // A graph output keeps its name; nodes after this one may go on reading it.
      else builder.node('Identity', [value], {}, { outputs: [`${name}/expanded`] });
    });
    const { nodes: all } = builder.build();
    for (const added of all.slice(emitted)) {
      const [output] = added.outputs;
      const final = output?.endsWith('/expanded') ? [output.slice(0, -'/expanded'.length)] : null;
      nodes.push(final ? { ...added, outputs: final } : added);
    }
    emitted = all.length;
  }
  return { ...builder.build(), nodes };
}
