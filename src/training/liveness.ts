/** What the values of a step take at most at any time, where it runs node by node in the order of its graph. */
import { BYTES_PER_ELEMENT, sizeOf } from '../core/dtype';
import type { Graph } from '../onnx/graph';
import { readsOf } from '../onnx/subgraphs';
import { expandTrainingOps } from '../ops/expand-graph';
import { inferShapes, staticType } from '../ops/infer-shapes';

/** Operators whose result is their input under another shape. */
const VIEWS: ReadonlySet<string> = new Set([
  'Reshape',
  'Identity',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
]);

export interface ValueBytes {
  /** Made by nodes, at their peak; outputs of the graph stay until the end. */
  readonly peak: number;
  /** Initialisers. */
  readonly constants: number;
  /** Graph inputs for which `held` is false. */
  readonly feeds: number;
  /** The largest value that a node makes. */
  readonly largest: number;
}

export function valueBytes(graph: Graph, held: ReadonlySet<string>): ValueBytes {
  const expanded = expandTrainingOps(graph);
  const types = inferShapes(expanded);
  const bytes = (name: string): number => {
    const { dtype, dims } = staticType(types, name);
    return dtype === 'string' ? 0 : sizeOf(dims) * BYTES_PER_ELEMENT[dtype];
  };
  const outputs = new Set(expanded.outputs.map(({ name }) => name));
  /** View -> the value whose memory it shares. */
  const owners = new Map<string, string>();
  const owner = (name: string): string => owners.get(name) ?? name;
  const lastRead = new Map<string, number>();
  const made = new Set<string>();
  expanded.nodes.forEach((node, index) => {
    for (const name of readsOf(node)) lastRead.set(owner(name), index);
    for (const name of node.outputs) {
      if (name === '') continue;
      if (VIEWS.has(node.op)) owners.set(name, owner(node.inputs[0] ?? ''));
      else made.add(name);
      lastRead.set(owner(name), index);
    }
  });
  for (const name of outputs) lastRead.set(owner(name), expanded.nodes.length);
  const dying = new Map<number, string[]>();
  for (const name of made) {
    const at = lastRead.get(name) ?? 0;
    dying.set(at, [...(dying.get(at) ?? []), name]);
  }
  let alive = 0;
  let peak = 0;
  expanded.nodes.forEach((node, index) => {
    for (const name of node.outputs) if (made.has(name)) alive += bytes(name);
    peak = Math.max(peak, alive);
    for (const name of dying.get(index) ?? []) alive -= bytes(name);
  });
  const sum = (names: Iterable<string>): number =>
    [...names].reduce((total, name) => total + bytes(name), 0);
  return {
    peak,
    constants: sum(expanded.initializers.keys()),
    feeds: sum(expanded.inputs.map(({ name }) => name).filter((name) => !held.has(name))),
    largest: Math.max(0, ...Array.from(made, bytes)),
  };
}
