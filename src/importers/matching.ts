/**
 * Weights from a file into a graph of ours. First by name; where the names are another program's, layer by layer:
 * tensors are grouped by what stands before the last dot (`features.0.weight`), groups of one kind (norms,
 * convolutions, dense layers) go in the order of the numbers in their names, and each must have just the shapes of
 * the layer it meets. Nothing is guessed beyond that.
 */
import { AppError } from '../core/errors';
import { sizeOf } from '../core/dtype';
import { decodeNumbers } from '../core/number-format';
import { withInitializers } from '../onnx/compose';
import type { Graph, Tensor } from '../onnx/graph';

type Tensors = ReadonlyMap<string, Tensor>;
type Layer = readonly [prefix: string, parts: ReadonlyMap<string, Tensor>];

/** PyTorch's word for what we call `scale`; its counter has no place in a model. */
const ROLE: ReadonlyMap<string, string> = new Map([['scale', 'weight']]);
const IGNORED = new Set(['num_batches_tracked']);

/**
 * The graph with the weights of the file.
 * @throws AppError `import/weights` naming the first tensor or layer that does not fit
 */
export function withWeightsOf(graph: Graph, tensors: Tensors): Graph {
  const wanted = new Map([...graph.initializers].filter(([name]) => name.includes('.')));
  const byName = [...wanted.keys()].every((name) => tensors.has(name));
  const found = byName ? named(wanted, tensors) : inOrder(wanted, tensors);
  return withInitializers(graph, found);
}

/**
 * Answers of the file's model: rows of its last layer's weight, which is `last` in ours and as wide as ours; null where
 * it has none. The width matters: a shape of a billion rows costs nothing in a file whose rows are empty.
 */
export function outputsOf(tensors: Tensors, last: string, width: number): number | null {
  const layer = layersInOrder(tensors).findLast((each) => kindOf(each) === DENSE);
  const { dims } = tensors.get(last) ?? layer?.[1].get('weight') ?? { dims: [] };
  const [outputs, inputs] = dims;
  const fits = dims.length === 2 && inputs === width && width > 0;
  return fits && outputs !== undefined && outputs > 0 ? outputs : null;
}

function named(wanted: Tensors, tensors: Tensors): Map<string, Float32Array> {
  return new Map(
    [...wanted].map(([name, { dims }]) => [name, numbers(name, dims, tensors.get(name))]),
  );
}

function inOrder(wanted: Tensors, tensors: Tensors): Map<string, Float32Array> {
  // In a chain of layers, which kind comes when is known from ours: `bn1` may be sorted before `conv1`.
  const ours = byKind(layersOf(wanted));
  const theirs = byKind(layersInOrder(tensors));
  if (ours.length !== theirs.length) {
    throw new AppError(
      'import/weights',
      `The file has the weights of ${theirs.length} layers, and this model has ${ours.length}. Choose the same architecture as the file's.`,
      { expected: ours.length, found: theirs.length },
    );
  }
  const result = new Map<string, Float32Array>();
  ours.forEach(([prefix, parts], index) => {
    const [theirPrefix = '', theirParts] = theirs[index] ?? [];
    for (const [part, { dims }] of parts) {
      const tensor = theirParts?.get(part) ?? theirParts?.get(ROLE.get(part) ?? '');
      result.set(`${prefix}.${part}`, numbers(`${prefix}.${part}`, dims, tensor, theirPrefix));
    }
    const extra = (theirParts?.size ?? 0) - parts.size;
    if (extra !== 0)
      throw misfit(`${prefix}`, `${parts.size} tensors`, `${parts.size + extra}`, theirPrefix);
  });
  return result;
}

const NORM = 0;
const DENSE = 2;

/** A norm, or how many axes its weight has. */
function kindOf([, parts]: Layer): number {
  return parts.has('running_mean') ? NORM : (parts.get('weight')?.dims.length ?? NORM);
}

function byKind(layers: readonly Layer[]): Layer[] {
  return layers.toSorted((a, b) => kindOf(b) - kindOf(a));
}

function layersInOrder(tensors: Tensors): Layer[] {
  return layersOf(tensors).sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
}

function layersOf(tensors: Tensors): Layer[] {
  const layers = new Map<string, Map<string, Tensor>>();
  for (const [name, tensor] of tensors) {
    const dot = name.lastIndexOf('.');
    const part = name.slice(dot + 1);
    if (IGNORED.has(part)) continue;
    const prefix = name.slice(0, Math.max(dot, 0));
    const layer = layers.get(prefix) ?? new Map<string, Tensor>();
    layers.set(prefix, layer.set(part, tensor));
  }
  return [...layers];
}

function numbers(
  name: string,
  dims: readonly number[],
  tensor: Tensor | undefined,
  from = name,
): Float32Array {
  const shape = `[${dims.join(', ')}]`;
  if (tensor === undefined) throw misfit(name, shape, 'nothing', from);
  if (tensor.dims.join() !== dims.join() || tensor.dtype === 'string') {
    throw misfit(name, shape, `${tensor.dtype} [${tensor.dims.join(', ')}]`, from);
  }
  if (tensor.data instanceof Float32Array) return tensor.data;
  if (Array.isArray(tensor.data)) throw misfit(name, shape, 'text', from);
  const values = Float32Array.from(decodeNumbers(tensor.dtype, tensor.data, tensor.dims));
  if (values.length !== sizeOf(dims)) throw misfit(name, shape, `${values.length} numbers`, from);
  return values;
}

function misfit(name: string, expected: string, found: string, from: string): AppError {
  return new AppError(
    'import/weights',
    `"${name}" needs ${expected}, and "${from}" in the file has ${found}. Choose the architecture that the weights were trained with.`,
    { tensor: name, expected, found },
  );
}
