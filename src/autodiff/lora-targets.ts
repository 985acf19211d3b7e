/** Which weights of a graph a low-rank adapter can stand beside, chosen by a pattern over names. */
import type { Graph, Node } from '../onnx/graph';
import { intAttribute } from '../ops/attributes';
import { readersOf } from './flow';
import { HEAD_WEIGHTS } from './new-head';

export interface LoraTarget {
  readonly weight: string;
  /** Names of the MatMul, Gemm or Conv nodes that read it. */
  readonly nodes: readonly string[];
  readonly inputs: number;
  readonly outputs: number;
  /** Whether the weight is stored as [out, in]. */
  readonly outFirst: boolean;
}

export function loraParameters(target: LoraTarget, rank: number): number {
  return rank * (target.inputs + target.outputs);
}

/** The weight that a node multiplies by, as [out, in] or [in, out]; undefined where no adapter fits. */
function multiplier(graph: Graph, node: Node): Omit<LoraTarget, 'nodes'> | undefined {
  const weight = node.inputs[1] ?? '';
  const tensor = graph.initializers.get(weight);
  if (node.domain !== '' || tensor?.dtype !== 'float32') return undefined;
  const { dims } = tensor;
  const [first = 0, second = 0] = dims;
  const outFirst =
    (node.op === 'Gemm' && intAttribute(node, 'transB', 0) === 1) || node.op === 'Conv';
  const pointwise =
    dims.length > 2 &&
    dims.slice(2).every((length) => length === 1) &&
    intAttribute(node, 'group', 1) === 1;
  const fits =
    node.op === 'Conv' ? pointwise : ['Gemm', 'MatMul'].includes(node.op) && dims.length === 2;
  if (!fits) return undefined;
  return outFirst
    ? { weight, inputs: second, outputs: first, outFirst }
    : { weight, inputs: first, outputs: second, outFirst };
}

function matcher(pattern: string): (name: string) => boolean {
  const parts = pattern
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const text = part.split('*').map((piece) => piece.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
      return new RegExp(`^${text.join('.*')}$`, 's');
    });
  return (name) => parts.some((part) => part.test(name));
}

/**
 * Weights that an adapter can stand beside and whose name, or a node's that reads it, fits the pattern; not those
 * of a new head, which learns as a whole, nor weights that something else reads too.
 */
export function loraTargets(graph: Graph, pattern: string): LoraTarget[] {
  const matches = matcher(pattern);
  const readers = readersOf(graph);
  const found = new Map<string, LoraTarget>();
  for (const node of graph.nodes) {
    const use = multiplier(graph, node);
    if (!use || found.has(use.weight) || HEAD_WEIGHTS.includes(use.weight)) continue;
    const all = readers.get(use.weight) ?? [];
    const alike = all.every((reader) => {
      const other = multiplier(graph, reader);
      return other?.weight === use.weight && other.outFirst === use.outFirst;
    });
    const nodes = all.map(({ name }) => name);
    if (!alike || ![use.weight, ...nodes].some(matches)) continue;
    found.set(use.weight, { ...use, nodes });
  }
  return [...found.values()];
}
