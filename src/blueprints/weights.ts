/**
 * Which initialisers of a forward graph learn, which are running statistics, and which are constants. Decided by
 * the ports they feed, so it holds for imported models as well as for blueprints.
 */
import { sizeOf } from '../core/dtype';
import type { Graph } from '../onnx/graph';

const TRAINABLE_PORTS: Readonly<Record<string, readonly number[]>> = {
  Gemm: [1, 2],
  MatMul: [0, 1],
  Conv: [1, 2],
  BatchNormalization: [1, 2],
};
const STATISTIC_PORTS: Readonly<Record<string, readonly number[]>> = {
  BatchNormalization: [3, 4],
};

export interface InitializerRoles {
  readonly trainable: readonly string[];
  /** Running mean and variance: part of the State, moved by the forward pass and not by the optimiser. */
  readonly statistics: readonly string[];
  readonly constants: readonly string[];
}

/** Every initialiser in exactly one list, each in the order of the graph. */
export function initializerRoles(graph: Graph): InitializerRoles {
  const trainable = fedInto(graph, TRAINABLE_PORTS);
  const statistics = fedInto(graph, STATISTIC_PORTS);
  const names = [...graph.initializers.keys()];
  return {
    trainable: names.filter((name) => trainable.has(name)),
    statistics: names.filter((name) => statistics.has(name)),
    constants: names.filter((name) => !trainable.has(name) && !statistics.has(name)),
  };
}

export function trainableNames(graph: Graph): readonly string[] {
  return initializerRoles(graph).trainable;
}

/** Number of trainable numbers. */
export function countWeights(graph: Graph): number {
  let count = 0;
  for (const name of trainableNames(graph))
    count += sizeOf(graph.initializers.get(name)?.dims ?? [0]);
  return count;
}

function fedInto(graph: Graph, ports: Readonly<Record<string, readonly number[]>>): Set<string> {
  const names = new Set<string>();
  for (const node of graph.nodes) {
    if (node.domain !== '') continue;
    for (const port of ports[node.op] ?? []) {
      const name = node.inputs[port] ?? '';
      if (graph.initializers.get(name)?.dtype === 'float32') names.add(name);
    }
  }
  return names;
}
