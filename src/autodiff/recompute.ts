/**
 * Recomputation: a training step in less memory. Values of the forward pass that the backward pass reads are kept
 * only at the borders of segments; inside a segment they are computed a second time just before their gradients.
 * Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174. The second computation is of
 * the same nodes on the same inputs, so gradients are the same bits.
 */
import { BYTES_PER_ELEMENT, sizeOf } from '../core/dtype';
import type { Graph, Node } from '../onnx/graph';
import { readsOf, renameReads } from '../onnx/subgraphs';
import { inferShapes, staticType } from '../ops/infer-shapes';
import type { Differentiated } from './differentiate';

export interface Recomputed {
  readonly graph: Graph;
  /** Bytes of forward values that wait for the backward pass when it begins. */
  readonly keptBytes: number;
  /** Most bytes of forward values, first and second, that are alive at once. */
  readonly peakBytes: number;
  /** Nodes that run a second time. */
  readonly repeated: number;
}

interface Pass {
  readonly graph: Graph;
  readonly forward: readonly Node[];
  readonly backward: readonly Node[];
  /** Bytes of a value made by the forward pass; 0 for any other. */
  bytes(name: string): number;
}

function passOf({ graph, forwardNodes }: Differentiated): Pass {
  const types = inferShapes(graph);
  const forward = graph.nodes.slice(0, forwardNodes);
  const sizes = new Map<string, number>();
  // A mask is drawn wherever it is read, and kept nowhere.
  const kept = forward.filter(({ op }) => op !== 'DropoutMask');
  for (const name of kept.flatMap(({ outputs }) => outputs)) {
    if (name === '') continue;
    const { dtype, dims } = staticType(types, name);
    sizes.set(name, dtype === 'string' ? 0 : sizeOf(dims) * BYTES_PER_ELEMENT[dtype]);
  }
  const backward = graph.nodes.slice(forwardNodes);
  return { graph, forward, backward, bytes: (name) => sizes.get(name) ?? 0 };
}

/** What waits at the end of the forward pass, and the most that is ever alive, of forward values and their copies. */
function measure(pass: Pass, nodes: readonly Node[], copies: ReadonlyMap<string, string>) {
  const original = new Map([...copies].map(([name, copy]) => [copy, name]));
  const bytes = (name: string) => pass.bytes(original.get(name) ?? name);
  const lastRead = new Map<string, number>();
  nodes.forEach((node, index) => {
    for (const name of [...readsOf(node), ...node.outputs]) lastRead.set(name, index);
  });
  let alive = 0;
  let peak = 0;
  let kept = 0;
  nodes.forEach((node, index) => {
    for (const name of new Set(node.outputs)) alive += bytes(name);
    peak = Math.max(peak, alive);
    for (const name of new Set([...readsOf(node), ...node.outputs])) {
      if (lastRead.get(name) === index) alive -= bytes(name);
    }
    if (index === pass.forward.length - 1) kept = alive;
  });
  return { keptBytes: kept, peakBytes: peak };
}

/** Bytes of values that stay alive across each forward node: the price of a border behind it. */
function borderBytes({ forward, bytes }: Pass): number[] {
  const lastRead = new Map<string, number>();
  forward.forEach((node, index) => {
    for (const name of readsOf(node)) lastRead.set(name, index);
  });
  let alive = 0;
  return forward.map((node, index) => {
    for (const name of node.outputs) if ((lastRead.get(name) ?? -1) > index) alive += bytes(name);
    for (const name of new Set(readsOf(node)))
      if (lastRead.get(name) === index) alive -= bytes(name);
    return alive;
  });
}

/** Indices of nodes behind which a border stands, so that a segment holds about `limit` bytes for the backward pass. */
function bordersFor(pass: Pass, wanted: ReadonlySet<string>, limit: number): number[] {
  const price = borderBytes(pass);
  const borders: number[] = [];
  let held = 0;
  let best = -1;
  pass.forward.forEach((node, index) => {
    for (const name of node.outputs) if (wanted.has(name)) held += pass.bytes(name);
    if (held >= limit / 2 && (best < 0 || (price[index] ?? 0) <= (price[best] ?? 0))) best = index;
    if (held < limit || best < 0 || index === pass.forward.length - 1) return;
    borders.push(best);
    // What stands behind the border already counts for the next segment.
    held = 0;
    for (const { outputs } of pass.forward.slice(best + 1, index + 1)) {
      for (const name of outputs) if (wanted.has(name)) held += pass.bytes(name);
    }
    best = -1;
  });
  return borders;
}

/** The graph with the segments between borders computed again where the backward pass first needs one. */
function withBorders(pass: Pass, borders: readonly number[]) {
  const segmentOf = new Map<string, number>();
  const producer = new Map<string, Node>();
  let segment = 0;
  pass.forward.forEach((node, index) => {
    for (const name of node.outputs) {
      segmentOf.set(name, segment);
      producer.set(name, node);
    }
    if (borders.includes(index)) segment++;
  });
  // Values that a later segment reads are kept anyway: they are the borders.
  const kept = new Set<string>();
  for (const node of pass.forward) {
    const own = segmentOf.get(node.outputs.find((name) => name !== '') ?? '');
    for (const name of readsOf(node)) if (segmentOf.get(name) !== own) kept.add(name);
  }
  const again = (name: string) =>
    !kept.has(name) && producer.has(name) && (segmentOf.get(name) ?? segment) < segment;

  const places = new Map(pass.forward.map((node, index) => [node, index]));
  const place = (node: Node) => places.get(node) ?? 0;
  const copies = new Map<string, string>();
  const made = new Set<Node>();
  const nodes: Node[] = [...pass.forward];
  /** Puts what is needed for `name` a second time, in the order of the forward pass. */
  const repeat = (names: readonly string[]): void => {
    const needed = new Set<Node>();
    const open = names.filter(again);
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      const node = producer.get(name);
      if (!node || made.has(node) || needed.has(node)) continue;
      needed.add(node);
      open.push(...readsOf(node).filter(again));
    }
    for (const node of [...needed].sort((a, b) => place(a) - place(b))) {
      made.add(node);
      for (const name of node.outputs) if (name !== '') copies.set(name, `${name}/again`);
      const outputs = node.outputs.map((name) => (name === '' ? '' : `${name}/again`));
      const origin = node.origin ?? node.name;
      nodes.push({ ...renamed(node), name: `${node.name}/again`, outputs, origin });
    }
  };
  const renamed = (node: Node): Node => {
    const names = readsOf(node).filter((name) => again(name) && copies.has(name));
    if (names.length === 0) return node;
    return renameReads(node, new Map(names.map((name) => [name, copies.get(name) ?? name])));
  };
  const bySegment = new Map<number, string[]>();
  for (const name of pass.backward.flatMap(readsOf).filter(again)) {
    const own = segmentOf.get(name) ?? 0;
    bySegment.set(own, [...(bySegment.get(own) ?? []), name]);
  }
  for (const node of pass.backward) {
    for (const name of readsOf(node)) {
      // All of a segment at once: its nodes share what they read.
      if (again(name) && !copies.has(name)) repeat(bySegment.get(segmentOf.get(name) ?? 0) ?? []);
    }
    nodes.push(renamed(node));
  }
  return { nodes, copies, repeated: made.size };
}

/** How many segment sizes are tried, each smaller than the one before. */
const TRIES = 24;
const SHRINK = 0.75;

/**
 * The learned graph so that forward values take at most `budgetBytes` at any time, with as little computed twice as
 * that allows; where no choice of segments reaches the budget, the one that takes least. The graph itself comes
 * back where it is within the budget as it stands.
 */
export function recompute(learned: Differentiated, budgetBytes: number): Recomputed {
  const pass = passOf(learned);
  const plain = { ...measure(pass, pass.graph.nodes, new Map()), repeated: 0 };
  let best: Recomputed = { graph: pass.graph, ...plain };
  if (plain.peakBytes <= budgetBytes) return best;
  const wanted = new Set(pass.backward.flatMap(readsOf).filter((name) => pass.bytes(name) > 0));
  let limit = plain.keptBytes;
  for (let index = 0; index < TRIES; index++) {
    limit *= SHRINK;
    const { nodes, copies, repeated } = withBorders(pass, bordersFor(pass, wanted, limit));
    const found = { ...measure(pass, nodes, copies), repeated };
    const fits = found.peakBytes <= budgetBytes;
    const better =
      fits && best.peakBytes <= budgetBytes
        ? repeated < best.repeated
        : found.peakBytes < best.peakBytes;
    if (better) best = { graph: { ...pass.graph, nodes, valueInfo: new Map() }, ...found };
  }
  return best;
}
