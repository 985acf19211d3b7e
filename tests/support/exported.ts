/** Models as PyTorch's exporter writes them (tools/golden/exported.py), with pictures for them. */
import { readFileSync } from 'node:fs';
import { runGraph } from '../../src/engine/reference/run-graph';
import type { Graph } from '../../src/onnx/graph';
import { readModel } from '../../src/onnx/reader';
import type { Value } from '../../src/ops/define';
import { randomNumbers, uniform } from './calls';

export function exported(name: string): Graph {
  const file = new URL(`../fixtures/exported/${name}.onnx`, import.meta.url);
  return readModel(new Uint8Array(readFileSync(file)));
}

export function picture(graph: Graph, rows: number): Map<string, Value> {
  const [input] = graph.inputs;
  const { dtype, dims, data } = uniform(randomNumbers(rows), [rows, 3, 16, 16]);
  return new Map([[input?.name ?? '', { dtype, dims, data }]]);
}

/** Any float value of a graph, on the reference interpreter. */
export function valueAt(graph: Graph, name: string, feeds: ReadonlyMap<string, Value>): Value {
  const found = runGraph({ ...graph, outputs: [{ name, dtype: 'float32', dims: [] }] }, feeds);
  return found.get(name) as Value;
}
