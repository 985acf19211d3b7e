/**
 * Whole-graph operations that are not about learning: joining two graphs, dropping what is unused, putting
 * trained values back. All give a new Graph and leave their arguments alone.
 */
import type { TensorArray } from '../core/dtype';
import { AppError } from '../core/errors';
import type { Dim, Graph, Node, Tensor, TensorType, ValueInfo } from './graph';
import { readsOf, renameReads, subgraphsOf } from './subgraphs';

export interface ConcatOptions {
  /** Outputs of the joint graph; `second` (default) keeps only those of the second graph. */
  readonly outputs?: 'second' | 'both';
  readonly name?: string;
}

/**
 * Feeds outputs of `first` into inputs of `second` (`mapping`: input of `second` -> output of `first`). Inputs
 * are those of `first`, then the unmapped ones of `second`. Names of `second` stay (they name weights); inner
 * names of `first` that collide get a suffix. Metadata and opsets are merged, `second` wins.
 */
export function concatGraphs(
  first: Graph,
  second: Graph,
  mapping: Readonly<Record<string, string>>,
  options: ConcatOptions = {},
): Graph {
  const joined = new Map(Object.entries(mapping));
  for (const [input, output] of joined) checkJoint(first, second, input, output);
  checkOpsets(first, second);

  const firstInterface = new Set([...first.inputs, ...first.outputs].map((info) => info.name));
  const secondNames = namesOf(second);
  for (const input of joined.keys()) secondNames.delete(input);
  for (const name of firstInterface) {
    if (secondNames.has(name)) {
      throw new AppError(
        'onnx/compose',
        `Both graphs have a value "${name}". Rename it in one of them before joining them.`,
        { name },
      );
    }
  }

  const taken = new Set([...secondNames, ...namesOf(first)]);
  const renamed = new Map<string, string>();
  for (const name of namesOf(first)) {
    if (!firstInterface.has(name) && secondNames.has(name)) renamed.set(name, fresh(name, taken));
  }
  const head = renameValues(first, renamed);
  const tail = renameValues(second, joined);

  const inputs = [...head.inputs, ...second.inputs.filter((input) => !joined.has(input.name))];
  return {
    name: options.name ?? second.name,
    opsets: new Map([...first.opsets, ...second.opsets]),
    inputs,
    outputs: options.outputs === 'both' ? [...head.outputs, ...tail.outputs] : tail.outputs,
    nodes: [...head.nodes, ...tail.nodes],
    initializers: new Map([...head.initializers, ...tail.initializers]),
    valueInfo: new Map([...head.valueInfo, ...tail.valueInfo]),
    metadata: new Map([...first.metadata, ...second.metadata]),
    docString: second.docString || first.docString,
  };
}

function checkJoint(first: Graph, second: Graph, input: string, output: string): void {
  const from = first.outputs.find((info) => info.name === output);
  const to = second.inputs.find((info) => info.name === input);
  if (!from || !to) {
    throw new AppError(
      'onnx/compose',
      from
        ? `The second graph has no input "${input}".`
        : `The first graph has no output "${output}".`,
      { input, output },
    );
  }
  const fits =
    from.dtype === to.dtype &&
    from.dims.length === to.dims.length &&
    from.dims.every((dim, axis) => dimsFit(dim, to.dims[axis]));
  if (!fits) {
    throw new AppError(
      'onnx/compose',
      `Output "${output}" (${shown(from)}) does not fit input "${input}" (${shown(to)}).`,
      { input, output, expected: shown(to), found: shown(from) },
    );
  }
}

/** A symbolic length fits any other; two numbers must be equal. */
function dimsFit(a: Dim, b: Dim | undefined): boolean {
  return a === b || typeof a === 'string' || typeof b === 'string';
}

function shown(type: TensorType): string {
  return `${type.dtype} [${type.dims.join(', ')}]`;
}

function checkOpsets(first: Graph, second: Graph): void {
  for (const [domain, version] of first.opsets) {
    const other = second.opsets.get(domain);
    if (other !== undefined && other !== version) {
      throw new AppError(
        'onnx/compose',
        `The graphs use opsets ${version} and ${other} of domain "${domain || 'ai.onnx'}" and cannot be joined.`,
        { domain, first: version, second: other },
      );
    }
  }
}

/** Every name in one graph and its subgraphs: values and nodes. */
function namesOf(graph: Graph): Set<string> {
  const names = new Set<string>(graph.initializers.keys());
  for (const input of graph.inputs) names.add(input.name);
  for (const node of graph.nodes) {
    names.add(node.name);
    for (const output of node.outputs) if (output !== '') names.add(output);
    for (const body of subgraphsOf(node)) for (const name of namesOf(body)) names.add(name);
  }
  return names;
}

function fresh(name: string, taken: Set<string>): string {
  let index = 1;
  while (taken.has(`${name}_${index}`)) index++;
  const found = `${name}_${index}`;
  taken.add(found);
  return found;
}

/** The graph with values (and nodes of the same name) called otherwise. */
export function renameValues(graph: Graph, names: ReadonlyMap<string, string>): Graph {
  if (names.size === 0) return graph;
  const named = (name: string): string => names.get(name) ?? name;
  const info = (value: ValueInfo): ValueInfo => ({ ...value, name: named(value.name) });
  return {
    ...graph,
    inputs: graph.inputs.map(info),
    outputs: graph.outputs.map(info),
    nodes: graph.nodes.map((node) => ({
      ...renameReads(node, names),
      name: named(node.name),
      outputs: node.outputs.map(named),
    })),
    initializers: new Map([...graph.initializers].map(([name, tensor]) => [named(name), tensor])),
    valueInfo: new Map([...graph.valueInfo].map(([name, type]) => [named(name), type])),
  };
}

/** Drops nodes and initialisers that no output needs. Inputs stay: they are the model's signature. */
export function pruneUnused(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map((output) => output.name));
  const kept: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    kept.push(node);
    for (const input of readsOf(node)) needed.add(input);
  }
  kept.reverse();
  const made = new Set(kept.flatMap((node) => node.outputs));
  return {
    ...graph,
    nodes: kept,
    initializers: new Map([...graph.initializers].filter(([name]) => needed.has(name))),
    valueInfo: new Map([...graph.valueInfo].filter(([name]) => made.has(name))),
  };
}

/** Puts values into existing initialisers: whole tensors, or arrays of the same type and length. */
export function withInitializers(
  graph: Graph,
  values: ReadonlyMap<string, Tensor | TensorArray>,
): Graph {
  const initializers = new Map(graph.initializers);
  for (const [name, value] of values) {
    const old = initializers.get(name);
    if (!old) {
      throw new AppError('onnx/unknown-initializer', `The graph has no weight "${name}".`, {
        name,
      });
    }
    const tensor: Tensor =
      Array.isArray(value) || ArrayBuffer.isView(value) ? { ...old, data: value } : value;
    const fits =
      tensor.dtype === old.dtype &&
      tensor.dims.join() === old.dims.join() &&
      tensor.data.length === old.data.length &&
      tensor.data.constructor === old.data.constructor;
    if (!fits) {
      throw new AppError(
        'onnx/tensor-size',
        `Weight "${name}" is ${shown(old)}; the new value is ${shown(tensor)} with ${tensor.data.length} elements.`,
        { name, expected: shown(old), found: shown(tensor) },
      );
    }
    initializers.set(name, tensor);
  }
  return { ...graph, initializers };
}

/** The graph with other outputs, each an existing value. */
export function withOutputs(graph: Graph, outputs: readonly ValueInfo[]): Graph {
  return { ...graph, outputs };
}

export function withMetadata(graph: Graph, entries: Readonly<Record<string, string>>): Graph {
  return { ...graph, metadata: new Map([...graph.metadata, ...Object.entries(entries)]) };
}
