/** Subgraphs written into the graph around them: how a device without control flow runs what is known beforehand. */
import type { GraphBuilder } from '../../onnx/builder';
import type { Graph, Node } from '../../onnx/graph';
import { renameReads } from '../../onnx/subgraphs';

/** Given value names for the subgraph's inputs it emits the subgraph once and returns its outputs. */
export type Inliner = (inputs: readonly string[]) => readonly string[];

/** Initialisers are shared by all copies; what the subgraph reads of the graph around it keeps its name. */
export function inliner(builder: GraphBuilder, node: Node, graph: Graph): Inliner {
  const shared = new Map<string, string>();
  for (const [name, tensor] of graph.initializers) {
    const free = builder.freeName(`${node.name}/${name}`);
    shared.set(name, builder.initializer(free, tensor));
  }
  return (inputs) => {
    const names = new Map(shared);
    graph.inputs.forEach(({ name }, index) => names.set(name, inputs[index] ?? ''));
    for (const inner of graph.nodes) {
      const { op, domain, inputs: read, outputs, attributes } = renameReads(inner, names);
      const made = builder.nodes(op, read, outputs.length, Object.fromEntries(attributes), {
        domain,
        outputs: outputs.map((name) =>
          name === '' ? '' : builder.freeName(`${node.name}/${name}`),
        ),
      });
      outputs.forEach((name, index) => names.set(name, made[index] ?? ''));
    }
    return graph.outputs.map(({ name }) => names.get(name) ?? name);
  };
}
