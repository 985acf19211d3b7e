/**
 * The difference of two graphs: which node of the second is which node of the first, what changed in each pair, and
 * what was added or removed. Nodes meet by name where the operator agrees; then by their neighbours (same operator,
 * same inputs, or same readers); what is left by the longest common run of equal operators and weight shapes.
 */
import type { Attribute, Graph, Node, Tensor } from '../onnx/graph';
import { relativeChange } from './weights';

export interface NodePair {
  readonly before: Node;
  readonly after: Node;
}

export interface GraphDiff {
  /** By the name of the node in the second graph. */
  readonly pairs: ReadonlyMap<string, NodePair>;
  readonly added: ReadonlySet<string>;
  /** Names in the first graph. */
  readonly removed: ReadonlySet<string>;
  /** Names (in the second graph) of pairs whose attributes, weights or wiring differ. */
  readonly changed: ReadonlySet<string>;
}

/** The table of the longest common run has at most so many cells; beyond, nodes left over count as replaced. */
const MOST_CELLS = 4_000_000;

export function diffGraphs(before: Graph, after: Graph): GraphDiff {
  const pairs = new Matching(before, after).pairs();
  const met = new Set([...pairs.values()].map(({ before: node }) => node.name));
  const valueOf = new Map<string, string>();
  for (const { name } of before.inputs) valueOf.set(name, name);
  for (const { before: a, after: b } of pairs.values()) {
    b.outputs.forEach((value, index) => valueOf.set(value, a.outputs[index] ?? ''));
  }
  const changed = new Set<string>();
  for (const [name, pair] of pairs) {
    if (differs(pair, before, after, valueOf)) changed.add(name);
  }
  return {
    pairs,
    added: new Set(after.nodes.filter(({ name }) => !pairs.has(name)).map(({ name }) => name)),
    removed: new Set(before.nodes.filter(({ name }) => !met.has(name)).map(({ name }) => name)),
    changed,
  };
}

function differs(
  { before: a, after: b }: NodePair,
  before: Graph,
  after: Graph,
  valueOf: ReadonlyMap<string, string>,
): boolean {
  if (a.inputs.length !== b.inputs.length || attributesKey(a) !== attributesKey(b)) return true;
  return b.inputs.some((name, index) => {
    const other = a.inputs[index] ?? '';
    const weight = after.initializers.get(name);
    const old = before.initializers.get(other);
    if (weight || old) return !weight || !old || relativeChange(old, weight) !== 0;
    return (valueOf.get(name) ?? '') !== other && name !== other;
  });
}

export function attributesKey({ attributes }: Node): string {
  return [...attributes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, attribute]) => `${name}=${attributeKey(attribute)}`)
    .join(';');
}

function attributeKey(attribute: Attribute): string {
  if (attribute.type === 'tensor') return tensorKey(attribute.value);
  if (attribute.type === 'graph') return `graph of ${attribute.value.nodes.length}`;
  if (attribute.type === 'float') return String(Math.fround(attribute.value));
  return String(attribute.value);
}

function tensorKey({ dtype, dims, data }: Tensor): string {
  return `${dtype}[${dims.join()}]${String(data)}`;
}

class Matching {
  readonly #before: Graph;
  readonly #after: Graph;
  /** Node of the second graph -> node of the first. */
  readonly #pairs = new Map<Node, Node>();
  readonly #taken = new Set<Node>();

  constructor(before: Graph, after: Graph) {
    this.#before = before;
    this.#after = after;
  }

  pairs(): Map<string, NodePair> {
    this.#byName();
    this.#byNeighbours();
    this.#byOrder();
    this.#byNeighbours();
    return new Map(
      this.#after.nodes.flatMap((after) => {
        const before = this.#pairs.get(after);
        return before ? [[after.name, { before, after }] as const] : [];
      }),
    );
  }

  #join(before: Node, after: Node): void {
    this.#pairs.set(after, before);
    this.#taken.add(before);
  }

  #byName(): void {
    const named = new Map(this.#before.nodes.map((node) => [node.name, node]));
    for (const after of this.#after.nodes) {
      const before = named.get(after.name);
      if (before && kindOf(before) === kindOf(after)) this.#join(before, after);
    }
  }

  /** Downwards from matched inputs, then upwards from matched readers. */
  #byNeighbours(): void {
    const value = new Map(this.#after.inputs.map(({ name }) => [name, name]));
    const note = (before: Node, after: Node): void =>
      after.outputs.forEach((name, index) => value.set(name, before.outputs[index] ?? ''));
    const open = this.#open(this.#before);
    const keyOf = (kind: string, inputs: readonly string[]) => `${kind}\n${inputs.join('\n')}`;
    const byInputs = new Map(
      open.map((node) => [keyOf(kindOf(node), wired(node, this.#before)), node]),
    );
    for (const after of this.#after.nodes) {
      const known = this.#pairs.get(after);
      if (known) {
        note(known, after);
        continue;
      }
      const inputs = wired(after, this.#after).map((name) => value.get(name));
      if (inputs.length === 0 || inputs.includes(undefined)) continue;
      const before = byInputs.get(
        keyOf(
          kindOf(after),
          inputs.filter((name) => name !== undefined),
        ),
      );
      if (before && !this.#taken.has(before)) {
        this.#join(before, after);
        note(before, after);
      }
    }
    const maker = makers(this.#before);
    const afterMaker = makers(this.#after);
    for (const after of [...this.#after.nodes].reverse()) {
      const before = this.#pairs.get(after);
      if (!before) continue;
      after.inputs.forEach((name, index) => {
        const upper = afterMaker.get(name);
        const old = maker.get(before.inputs[index] ?? '');
        if (!upper || !old || this.#pairs.has(upper) || this.#taken.has(old)) return;
        if (kindOf(upper) === kindOf(old)) this.#join(old, upper);
      });
    }
  }

  #byOrder(): void {
    const a = this.#open(this.#before);
    const b = this.#after.nodes.filter((node) => !this.#pairs.has(node));
    if (a.length * b.length > MOST_CELLS) return;
    const left = a.map((node) => shapeKey(node, this.#before));
    const right = b.map((node) => shapeKey(node, this.#after));
    const width = b.length + 1;
    const longest = new Uint16Array((a.length + 1) * width);
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        longest[i * width + j] =
          left[i] === right[j]
            ? (longest[(i + 1) * width + j + 1] ?? 0) + 1
            : Math.max(longest[(i + 1) * width + j] ?? 0, longest[i * width + j + 1] ?? 0);
      }
    }
    for (let i = 0, j = 0; i < a.length && j < b.length;) {
      const [before, after] = [a[i], b[j]];
      if (before && after && left[i] === right[j]) {
        this.#join(before, after);
        i++;
        j++;
      } else if ((longest[(i + 1) * width + j] ?? 0) >= (longest[i * width + j + 1] ?? 0)) i++;
      else j++;
    }
  }

  #open(graph: Graph): Node[] {
    return graph.nodes.filter((node) => !this.#taken.has(node));
  }
}

function kindOf({ op, domain }: Node): string {
  return `${domain}.${op}`;
}

/** Operator with the shapes of its weights. */
function shapeKey(node: Node, { initializers }: Graph): string {
  const shapes = node.inputs.map((name) => initializers.get(name)?.dims.join('x') ?? '-');
  return `${kindOf(node)} ${shapes.join(' ')}`;
}

/** Inputs that other nodes, or the graph, give. */
function wired(node: Node, { initializers }: Graph): string[] {
  return node.inputs.filter((name) => name !== '' && !initializers.has(name));
}

function makers(graph: Graph): Map<string, Node> {
  return new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node])));
}
