/** Small passes every compressor ends with: what nothing reads any more leaves the file. */
import type { Graph, Node } from '../onnx/graph';

/** Drops nodes whose outputs nobody reads, then initialisers that no node reads. */
export function dropUnused(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map(({ name }) => name));
  const kept: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    kept.push(node);
    for (const input of node.inputs) needed.add(input);
  }
  kept.reverse();
  const alive = (name: string) => needed.has(name);
  const made = new Set(kept.flatMap(({ outputs }) => outputs));
  return {
    ...graph,
    nodes: kept,
    initializers: new Map([...graph.initializers].filter(([name]) => alive(name))),
    valueInfo: new Map([...graph.valueInfo].filter(([name]) => made.has(name))),
  };
}

/** Every reader of each value. */
export function readersOf(graph: Graph): ReadonlyMap<string, readonly Node[]> {
  const readers = new Map<string, Node[]>();
  for (const node of graph.nodes)
    for (const input of new Set(node.inputs)) {
      const list = readers.get(input);
      if (list) list.push(node);
      else readers.set(input, [node]);
    }
  return readers;
}
