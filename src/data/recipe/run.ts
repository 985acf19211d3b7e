/** Runs a recipe graph on the reference interpreter, the same graph that a finished model carries. */
import { AppError } from '../../core/errors';
import { runGraph } from '../../engine/reference/run-graph';
import type { Graph } from '../../onnx/graph';
import type { RawInputs } from './encode';

/** `features` [rows, ...featureDims] of raw inputs [rows, ...]. */
export function runRecipe(graph: Graph, inputs: RawInputs): Float32Array {
  const features = runGraph(graph, new Map(inputs.map((input) => [input.name, input])));
  const value = features.get('features');
  if (!value) throw new AppError('internal/invariant', 'A recipe graph yields "features".');
  return Float32Array.from(value.data);
}
