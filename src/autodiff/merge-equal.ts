/**
 * What the backward pass would compute a second time (the same operator on the same inputs with the same
 * attributes) is computed once. Nodes of the forward pass and the names of their values stay.
 */
import type { Attribute, Graph, Node } from '../onnx/graph';
import { renameReads } from '../onnx/subgraphs';

interface Learned {
  readonly graph: Graph;
  readonly forwardNodes: number;
  readonly gradients: ReadonlyMap<string, string>;
}

/** Two of these are not the same for all that they look it: they draw random numbers. */
const RANDOM: ReadonlySet<string> = new Set([
  'Bernoulli',
  'Dropout',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
]);

/** Plain attributes only: whoever has a tensor or a graph is not compared. */
function textOf(name: string, attribute: Attribute): string | undefined {
  const { type, value } = attribute;
  if (type === 'tensor' || type === 'graph' || type === 'graphs') return undefined;
  return `${name}:${type}:${JSON.stringify(value)}`;
}

/** Equal for nodes that compute the same; undefined where that is not known. */
function keyOf({ op, domain, inputs, outputs, attributes }: Node): string | undefined {
  if (domain === '' && RANDOM.has(op)) return undefined;
  const texts = [...attributes].map(([name, attribute]) => textOf(name, attribute));
  if (texts.includes(undefined)) return undefined;
  return JSON.stringify([domain, op, outputs.length, inputs, texts.sort()]);
}

export function mergeEqual<T extends Learned>(learned: T): T {
  const { graph, forwardNodes } = learned;
  const asked = new Set(graph.outputs.map(({ name }) => name));
  const renamed = new Map<string, string>();
  const first = new Map<string, Node>();
  const nodes = graph.nodes.filter((given, index) => {
    const key = keyOf(renameReads(given, renamed));
    const known = key === undefined ? undefined : first.get(key);
    if (key === undefined) return true;
    if (known === undefined) {
      first.set(key, given);
      return true;
    }
    const gives = given.outputs.every(
      (name, port) => name === '' || (known.outputs[port] && !asked.has(name)),
    );
    if (index < forwardNodes || !gives) return true;
    given.outputs.forEach((name, port) => {
      if (name !== '') renamed.set(name, known.outputs[port] ?? '');
    });
    return false;
  });
  const gradients = new Map(
    [...learned.gradients].map(([name, value]) => [name, renamed.get(value) ?? value]),
  );
  const merged = nodes.map((node) => renameReads(node, renamed));
  return { ...learned, graph: { ...graph, nodes: merged }, gradients };
}
