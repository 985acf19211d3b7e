/**
 * What the bodies of If, Loop and Scan read of the graph around them. Such values are inputs of the node in all but
 * name: whoever prunes, orders or differentiates a graph asks here what a node reads.
 */
import type { Attribute, Graph, Node } from './graph';

export function subgraphsOf(node: Node): Graph[] {
  const found: Graph[] = [];
  for (const attribute of node.attributes.values()) {
    if (attribute.type === 'graph') found.push(attribute.value);
    if (attribute.type === 'graphs') found.push(...attribute.value);
  }
  return found;
}

/** Applies `change` to the subgraphs of a node; the same node where it has none. */
export function mapSubgraphs(node: Node, change: (graph: Graph) => Graph): Node {
  if (subgraphsOf(node).length === 0) return node;
  const attributes = new Map<string, Attribute>();
  for (const [name, attribute] of node.attributes) {
    if (attribute.type === 'graph') {
      attributes.set(name, { type: 'graph', value: change(attribute.value) });
    } else if (attribute.type === 'graphs') {
      attributes.set(name, { type: 'graphs', value: attribute.value.map(change) });
    } else attributes.set(name, attribute);
  }
  return { ...node, attributes };
}

/** Names that a subgraph uses and does not define. */
export function capturedBy(graph: Graph): Set<string> {
  const own = new Set<string>(graph.initializers.keys());
  for (const { name } of graph.inputs) own.add(name);
  for (const { outputs } of graph.nodes) for (const name of outputs) own.add(name);
  const read = new Set<string>();
  for (const node of graph.nodes) for (const name of readsOf(node)) read.add(name);
  for (const { name } of graph.outputs) read.add(name);
  return new Set([...read].filter((name) => !own.has(name)));
}

/** Every value that the node needs: its inputs, and what its subgraphs capture. */
export function readsOf(node: Node): string[] {
  const read = node.inputs.filter((name) => name !== '');
  for (const graph of subgraphsOf(node)) read.push(...capturedBy(graph));
  return read;
}

/** The node with other names for what it reads, inside its subgraphs too. */
export function renameReads(node: Node, names: ReadonlyMap<string, string>): Node {
  const inputs = node.inputs.map((name) => names.get(name) ?? name);
  return { ...mapSubgraphs(node, (graph) => renameCaptured(graph, names)), inputs };
}

function renameCaptured(graph: Graph, names: ReadonlyMap<string, string>): Graph {
  const outer = capturedBy(graph);
  const renamed = new Map([...names].filter(([name]) => outer.has(name)));
  if (renamed.size === 0) return graph;
  return {
    ...graph,
    nodes: graph.nodes.map((node) => renameReads(node, renamed)),
    outputs: graph.outputs.map((info) => ({ ...info, name: renamed.get(info.name) ?? info.name })),
  };
}
