/**
 * Rewrites training operators in standard ones, so that an executor without kernels for them can run the graph.
 * Optimisers have no expansion: executors update weights themselves.
 */
import { GraphBuilder } from '../onnx/builder';
import type { Graph, Node } from '../onnx/graph';
import { inferShapes, staticType } from './infer-shapes';
import { lookupOp } from './registry';

/** @param keep operators of the training domain that the executor runs itself, by name */
export function expandTrainingOps(graph: Graph, keep: ReadonlySet<string> = new Set()): Graph {
  const types = inferShapes(graph);
  // The builder holds the old nodes too, so that no generated name meets one of theirs.
  const builder = GraphBuilder.from(graph);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const renamed = new Map<string, string>();
  const nodes: Node[] = [];
  let emitted = graph.nodes.length;
  for (const given of graph.nodes) {
    const node: Node = { ...given, inputs: given.inputs.map((name) => renamed.get(name) ?? name) };
    const expand = keep.has(node.op) ? undefined : lookupOp(node.domain, node.op)?.expand;
    if (!expand) {
      nodes.push(node);
      continue;
    }
    // Types are known under the names of the graph as given.
    const original = new Map(node.inputs.map((name, index) => [name, given.inputs[index] ?? name]));
    const made = expand({
      node,
      builder,
      type: (name) => staticType(types, original.get(name) ?? name),
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
