import type { Graph } from '../onnx/graph';

/** The graph without nodes and initialisers that its outputs do not need. Inputs stay. */
export function pruneGraph(graph: Graph): Graph {
  const live = new Set(graph.outputs.map(({ name }) => name));
  const nodes = [...graph.nodes]
    .reverse()
    .filter((node) => {
      if (!node.outputs.some((name) => live.has(name))) return false;
      for (const name of node.inputs) live.add(name);
      return true;
    })
    .reverse();
  return {
    ...graph,
    nodes,
    initializers: new Map([...graph.initializers].filter(([name]) => live.has(name))),
    valueInfo: new Map([...graph.valueInfo].filter(([name]) => live.has(name))),
  };
}
