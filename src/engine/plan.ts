/**
 * What both device executors decide before a step runs, without touching a device: the types of all values, and
 * which nodes are needed for what is asked.
 */
import { AppError, invariant } from '../core/errors';
import { isFloat, sizeOf } from '../core/dtype';
import type { DType } from '../core/dtype';
import type { Dim, Graph, Node } from '../onnx/graph';
import type { Feeds } from './executor';

export interface ConcreteType {
  readonly dtype: DType;
  readonly dims: readonly number[];
}

function concrete(name: string, dtype: DType, dims: readonly Dim[]): ConcreteType {
  const numbers = dims.map((dim) => {
    if (typeof dim === 'number') return dim;
    throw new AppError(
      'engine/shape',
      `The value "${name}" has the open length "${dim}". A graph that runs step by step needs fixed shapes.`,
      { name, dim },
    );
  });
  return { dtype, dims: numbers };
}

/** Static types of inputs, initialisers and every value whose type the graph carries. */
export function typesOf(graph: Graph): Map<string, ConcreteType> {
  const types = new Map<string, ConcreteType>();
  for (const { name, dtype, dims } of graph.inputs) types.set(name, concrete(name, dtype, dims));
  for (const [name, { dtype, dims }] of graph.initializers) types.set(name, { dtype, dims });
  for (const [name, { dtype, dims }] of graph.valueInfo) {
    types.set(name, concrete(name, dtype, dims));
  }
  for (const { name, dtype, dims } of graph.outputs) {
    if (!types.has(name)) types.set(name, concrete(name, dtype, dims));
  }
  return types;
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
    for (const input of node.inputs) if (input !== '') wanted.add(input);
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
