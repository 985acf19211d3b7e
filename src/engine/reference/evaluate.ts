/** A graph once, on the reference interpreter: each value rounded to its type, as the standard has it. */
import { AppError } from '../../core/errors';
import type { Graph, Tensor } from '../../onnx/graph';
import { tensorOf } from '../../ops/value';
import { bindInputs } from '../evaluate';
import type { Tensors } from '../evaluate';
import { runGraph } from './run-graph';

/** Outputs by name. @throws AppError as `bindInputs`, and what the operators' kernels refuse */
export function evaluateReference(graph: Graph, inputs: Tensors): Map<string, Tensor> {
  const results = runGraph(bindInputs(graph, inputs), inputs, { rounded: true });
  return new Map(
    graph.outputs.map(({ name }) => {
      const value = results.get(name);
      if (!value) throw new AppError('onnx/graph', `The graph has no output "${name}".`, { name });
      return [name, tensorOf(value)];
    }),
  );
}
