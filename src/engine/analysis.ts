/**
 * What both device executors decide before a step runs, without touching a device: the types of all values, and
 * which nodes are needed for what is asked.
 */
import { AppError, invariant } from '../core/errors';
import { isFloat, sizeOf } from '../core/dtype';
import type { DType } from '../core/dtype';
import type { Graph, Node, Tensor } from '../onnx/graph';
import { readsOf } from '../onnx/subgraphs';
import { infer, staticType } from '../ops/infer-shapes';
import type { Feeds } from './executor';

export interface ConcreteType {
  readonly dtype: DType;
  readonly dims: readonly number[];
}

export interface Analysis {
  /** Static type of any value; a value of open length is an error. */
  type(name: string): ConcreteType;
  /** Values known without running: initialisers and what follows from them. */
  readonly constants: ReadonlyMap<string, Tensor>;
}

export function analyse(graph: Graph): Analysis {
  const { types, constants } = infer(graph);
  return { type: (name) => staticType(types, name), constants };
}

/** The nodes on which `values` depend, in their order. */
export function nodesFor(nodes: readonly Node[], values: Iterable<string>): Node[] {
  const wanted = new Set(values);
  const kept: Node[] = [];
  for (let index = nodes.length - 1; index >= 0; index--) {
    const node = nodes[index];
    invariant(node !== undefined, 'A node list has a hole.');
    if (!node.outputs.some((output) => wanted.has(output))) continue;
    kept.push(node);
    for (const input of readsOf(node)) wanted.add(input);
  }
  return kept.reverse();
}

/** Every feed is there, with the type and length that the graph declares. */
export function checkFeeds(
  feeds: Feeds,
  wanted: readonly (ConcreteType & { readonly name: string })[],
): void {
  for (const { name, dtype, dims } of wanted) {
    const data = feeds.get(name);
    const size = sizeOf(dims);
    if (data === undefined) {
      throw new AppError('engine/feed', `The step needs "${name}", which was not fed.`, { name });
    }
    if (data instanceof Float32Array !== isFloat(dtype) || data.length !== size) {
      throw new AppError(
        'engine/feed',
        `"${name}" should be fed ${size} numbers of type ${dtype}, but got ${data.length} in a ${data.constructor.name}.`,
        { name, expected: size, found: data.length },
      );
    }
  }
}
