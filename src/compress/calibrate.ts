/**
 * Finds the ranges of inner values by running the float graph on real rows with those values as extra outputs.
 * It knows no runtime: the caller runs the probed graph and hands over what came out.
 */
import { invariant } from '../core/errors';
import type { Graph } from '../onnx/graph';
import { GraphBuilder } from '../onnx/builder';
import { RangeObserver } from './ranges';
import type { Range } from './ranges';

export interface ProbedGraph {
  readonly graph: Graph;
  /** Output of the probed graph -> the value it shows. */
  readonly probes: ReadonlyMap<string, string>;
}

/**
 * A graph whose only outputs are the probed values, flattened: so each has the known type `[n]`, whatever the
 * shape of the value.
 */
export function probe(graph: Graph, values: readonly string[]): ProbedGraph {
  const builder = GraphBuilder.from(graph, { dropOutputs: true });
  const flat = builder.initializer('probe_shape', {
    dtype: 'int64',
    dims: [1],
    data: BigInt64Array.of(-1n),
  });
  const probes = new Map<string, string>();
  for (const [index, value] of values.entries()) {
    const output = builder.node('Reshape', [value, flat], {}, { outputs: [`probe_${index}`] });
    builder.output(output, 'float32', [`probe_${index}_size`]);
    probes.set(output, value);
  }
  return { graph: builder.build(), probes };
}

export async function calibrate(
  probed: ProbedGraph,
  batches: AsyncIterable<ReadonlyMap<string, Float32Array>>,
): Promise<ReadonlyMap<string, Range>> {
  const observers = new Map([...probed.probes.keys()].map((name) => [name, new RangeObserver()]));
  for await (const outputs of batches) {
    for (const [name, observer] of observers) {
      const values = outputs.get(name);
      invariant(values, `The calibration run gave no "${name}".`);
      observer.observe(values);
    }
  }
  return new Map(
    [...observers].map(([name, observer]) => [probed.probes.get(name) ?? name, observer.range()]),
  );
}
