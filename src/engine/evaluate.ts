/**
 * Running a graph once on given tensors, of any element type and without State: what every executor checks and
 * settles before it does so. Lengths that the model leaves open become those of the tensors.
 */
import { AppError } from '../core/errors';
import type { Graph, Tensor, ValueInfo } from '../onnx/graph';
import { shapeText } from '../ops/shapes';

export type Tensors = ReadonlyMap<string, Tensor>;

/**
 * The graph with the shapes of these inputs. An initialiser that is given as well becomes an input.
 * @throws AppError `engine/feed` for an input that is missing, unknown or not as the model declares it
 */
export function bindInputs(graph: Graph, inputs: Tensors): Graph {
  const declared = new Map(graph.inputs.map((info) => [info.name, info]));
  const bound: ValueInfo[] = graph.inputs.map((info) => ({ ...info, ...checked(info, inputs) }));
  const initializers = new Map(graph.initializers);
  for (const [name, { dtype, dims }] of inputs) {
    if (declared.has(name)) continue;
    if (!initializers.delete(name)) {
      throw new AppError('engine/feed', `The model has no input "${name}".`, { name });
    }
    bound.push({ name, dtype, dims });
  }
  return { ...graph, inputs: bound, initializers };
}

function checked({ name, dtype, dims }: ValueInfo, inputs: Tensors): Omit<ValueInfo, 'name'> {
  const tensor = inputs.get(name);
  if (tensor === undefined) {
    throw new AppError('engine/feed', `The model's input "${name}" was not given.`, { name });
  }
  const fits =
    tensor.dims.length === dims.length &&
    dims.every((dim, axis) => typeof dim === 'string' || dim === tensor.dims[axis]);
  if (tensor.dtype !== dtype || !fits) {
    throw new AppError(
      'engine/feed',
      `The model's input "${name}" should be ${dtype} ${shapeText(dims)}, but ` +
        `${tensor.dtype} ${shapeText(tensor.dims)} was given.`,
      { name, expected: { dtype, dims }, found: { dtype: tensor.dtype, dims: tensor.dims } },
    );
  }
  return { dtype, dims: tensor.dims };
}
