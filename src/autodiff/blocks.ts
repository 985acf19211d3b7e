/**
 * A network's body as a row of blocks: parts between values through which everything flows. Residual branches stay
 * whole, because no single value carries the flow inside them. Names come from the exporter's paths where it left
 * any (`/layer1/layer1.0/conv1/Conv`, `layer1.0.conv1.weight`).
 */
import { sizeOf } from '../core/dtype';
import type { Graph, Node } from '../onnx/graph';
import { ancestorsOf } from './flow';
import type { Flow } from './flow';

export interface Block {
  readonly name: string;
  /** Names of its nodes, in the graph's order. */
  readonly nodes: readonly string[];
  /** Names of the weights that only this block and those after it read. */
  readonly weights: readonly string[];
  /** Numbers in these weights. */
  readonly parameters: number;
  /** The one value that leaves it. */
  readonly output: string;
}

interface Segment {
  readonly nodes: readonly Node[];
  readonly output: string;
}

/** More than a person wants to see in a list. */
const MOST_BLOCKS = 20;
const FEWEST_NAMED = 4;
/** Operators with which a new layer begins; norms and activations belong to the layer before them. */
const BEGINNING: ReadonlySet<string> = new Set([
  ...['Conv', 'ConvTranspose', 'Gemm', 'MatMul', 'Einsum', 'LSTM', 'GRU', 'RNN', 'Gather'],
  'Attention',
]);

/** Cuts the way to `end` wherever exactly one value is alive. */
function segmentsTo(graph: Graph, flow: Flow, end: string): Segment[] {
  const path = ancestorsOf(graph, end).filter(({ outputs }) =>
    outputs.some((name) => flow.carries.has(name)),
  );
  const reads = new Map<string, number>([[end, 1]]);
  for (const { inputs } of path) {
    for (const name of inputs) reads.set(name, (reads.get(name) ?? 0) + 1);
  }
  const live = new Set<string>();
  const segments: Segment[] = [];
  let nodes: Node[] = [];
  for (const node of path) {
    nodes.push(node);
    for (const name of node.inputs) {
      const left = (reads.get(name) ?? 0) - 1;
      reads.set(name, left);
      if (left === 0) live.delete(name);
    }
    for (const name of node.outputs) {
      if (flow.carries.has(name) && (reads.get(name) ?? 0) > 0) live.add(name);
    }
    const [only] = live;
    if (live.size !== 1 || only === undefined) continue;
    segments.push({ nodes, output: only });
    nodes = [];
  }
  return segments;
}

function joined(segments: readonly Segment[]): Segment {
  return {
    nodes: segments.flatMap(({ nodes }) => nodes),
    output: segments.at(-1)?.output ?? '',
  };
}

/** Joins what `belongs` to the group before it. */
function grouped<T extends Segment>(
  segments: readonly T[],
  belongs: (segment: T, before: T) => boolean,
): T[][] {
  const groups: T[][] = [];
  for (const segment of segments) {
    const group = groups.at(-1);
    const before = group?.at(-1);
    if (group && before && belongs(segment, before)) group.push(segment);
    else groups.push([segment]);
  }
  return groups;
}

/** `['layer1', 'layer1.0', 'layer1.0.conv1']` of `/layer1/layer1.0/conv1/Conv`: ever longer prefixes. */
function prefixesOf(name: string): string[] {
  const path: string[] = [];
  for (const part of name.split('/').filter((each) => each !== '')) {
    // PyTorch repeats the parent in each component of its paths; a repeated run adds nothing.
    const last = path.at(-1);
    if (last !== undefined && part.startsWith(`${last}.`)) path[path.length - 1] = part;
    else path.push(part);
  }
  const text = path.join('.');
  return [...text.matchAll(/(?<=[^.:_])[.:_]/g)].map(({ index }) => text.slice(0, index));
}

/** What the names of a segment's layers have in common, or else the path of the first one. */
function pathOf(segment: Segment, flow: Flow): string[] {
  const layers = segment.nodes.filter(
    ({ name, op }) => flow.weights.has(name) && BEGINNING.has(op),
  );
  const nodes = layers.length > 0 ? layers : segment.nodes;
  const names = nodes.map(({ name }) => {
    const [weight = ''] = flow.weights.get(name) ?? [];
    // Constant folding leaves weights with numbers for names; then the node's path says more.
    return /[A-Za-z].*[./].*[A-Za-z]/.test(weight) ? weight : name;
  });
  const [first = [], ...rest] = names.map(prefixesOf);
  const common = first.filter((prefix) => rest.every((other) => other.includes(prefix)));
  return common.length > 0 ? common : first;
}

function parametersOf(graph: Graph, names: readonly string[]): number {
  return names.reduce((sum, name) => sum + sizeOf(graph.initializers.get(name)?.dims ?? [0]), 0);
}

/** Joins the smallest neighbours until few enough are left. */
function mergedBySize(segments: readonly Segment[], size: (segment: Segment) => number): Segment[] {
  const merged = [...segments];
  while (merged.length > MOST_BLOCKS) {
    let at = 0;
    let least = Infinity;
    for (let i = 0; i + 1 < merged.length; i++) {
      const sum = size(merged[i] as Segment) + size(merged[i + 1] as Segment);
      if (sum < least) [at, least] = [i, sum];
    }
    merged.splice(at, 2, joined(merged.slice(at, at + 2)));
  }
  return merged;
}

interface Named extends Segment {
  readonly path: readonly string[];
}

/** Groups by the deepest prefix that leaves few enough groups; undefined where names say nothing. */
function mergedByName(segments: readonly Named[]): Segment[] | undefined {
  const deepest = Math.max(0, ...segments.map(({ path }) => path.length));
  let best: Segment[] | undefined;
  for (let depth = 1; depth <= deepest; depth++) {
    const key = ({ path }: Named) => path[Math.min(depth, path.length) - 1] ?? '';
    const groups = grouped(segments, (a, b) => key(a) === key(b));
    if (groups.length <= MOST_BLOCKS) best = groups.map(joined);
  }
  return best && best.length >= Math.min(FEWEST_NAMED, segments.length) ? best : undefined;
}

/** The blocks from the input to the value `end`, in the order of the flow. */
export function blocksTo(graph: Graph, flow: Flow, end: string): Block[] {
  const begins = ({ nodes }: Segment) =>
    nodes.some(({ name, op }) => BEGINNING.has(op) && flow.weights.has(name));
  const layers = grouped(segmentsTo(graph, flow, end), (segment) => !begins(segment)).map(joined);
  const named = layers.map((layer): Named => ({ ...layer, path: pathOf(layer, flow) }));
  const weightsIn = ({ nodes }: Segment) => [
    ...new Set(nodes.flatMap(({ name }) => flow.weights.get(name) ?? [])),
  ];
  const size = (segment: Segment) => parametersOf(graph, weightsIn(segment));
  const merged = mergedByName(named) ?? mergedBySize(layers, size);

  const seen = new Set<string>();
  const titles = new Map<string, number>();
  return merged.map((segment, index): Block => {
    const weights = weightsIn(segment).filter((name) => !seen.has(name));
    weights.forEach((name) => seen.add(name));
    const title = pathOf(segment, flow).at(-1) ?? `block ${index + 1}`;
    const count = (titles.get(title) ?? 0) + 1;
    titles.set(title, count);
    return {
      name: count === 1 ? title : `${title} (${count})`,
      nodes: segment.nodes.map(({ name }) => name),
      weights,
      parameters: parametersOf(graph, weights),
      output: segment.output,
    };
  });
}
