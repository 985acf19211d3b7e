/** Graphs of one operator call, random values, and gradients by central differences: the oracles of the operators. */
import { expect } from 'vitest';
import { differentiate } from '../../src/autodiff/differentiate';
import { sizeOf } from '../../src/core/dtype';
import type { DType } from '../../src/core/dtype';
import { runGraph } from '../../src/engine/reference/run-graph';
import { GraphBuilder } from '../../src/onnx/builder';
import type { Attribute, Graph, Tensor, ValueInfo } from '../../src/onnx/graph';
import type { Value } from '../../src/ops/define';
import { infer, staticType } from '../../src/ops/infer-shapes';
import { tensorOf } from '../../src/ops/value';

export interface Argument {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: Float64Array;
  /** Stands in the graph as an initialiser; otherwise it is a graph input. */
  readonly constant?: boolean;
}

export interface Call {
  readonly op: string;
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** undefined is an omitted optional input. */
  readonly inputs: readonly (Argument | undefined)[];
  /** Number of outputs, 1 where absent. */
  readonly outputs?: number;
}

/** mulberry32: enough for test values. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Float argument with values in [low, high), representable in float32. */
export function uniform(
  random: () => number,
  dims: readonly number[],
  low = -1,
  high = 1,
): Argument {
  const data = Float64Array.from({ length: sizeOf(dims) }, () =>
    Math.fround(low + (high - low) * random()),
  );
  return { dtype: 'float32', dims, data };
}

/**
 * Float argument whose values are all at least 0.1 apart: no ties, and none appear under a small shift. Arguments
 * of one call that meet each other take offsets half a step (0.0625) apart.
 */
export function distinct(random: () => number, dims: readonly number[], offset = 0.03): Argument {
  const size = sizeOf(dims);
  const order = Array.from({ length: size }, (_, index) => ({ index, key: random() }));
  order.sort((a, b) => a.key - b.key);
  const data = new Float64Array(size);
  order.forEach(
    ({ index }, rank) => (data[index] = Math.fround((rank - size / 2) * 0.125 + offset)),
  );
  return { dtype: 'float32', dims, data };
}

export function ints(values: readonly number[]): Argument {
  return { dtype: 'int64', dims: [values.length], data: Float64Array.from(values), constant: true };
}

export function given(
  dtype: DType,
  dims: readonly number[],
  values: readonly number[],
  constant = false,
): Argument {
  return { dtype, dims, data: Float64Array.from(values), constant };
}

/** One node, its arguments as `x0`, `x1` …, its outputs as `y0`, `y1` …, all of them graph outputs. */
export function callGraph(call: Call): { graph: Graph; feeds: Map<string, Value> } {
  const builder = new GraphBuilder('call');
  const feeds = new Map<string, Value>();
  const names = call.inputs.map((argument, index) => {
    if (!argument) return '';
    const { dtype, dims, data, constant } = argument;
    const name = `x${index}`;
    if (constant) return builder.initializer(name, tensorOf({ dtype, dims, data }));
    feeds.set(name, { dtype, dims, data });
    return builder.input(name, dtype, dims);
  });
  const outputs = Array.from({ length: call.outputs ?? 1 }, (_, index) => `y${index}`);
  builder.nodes(call.op, names, outputs.length, call.attributes ?? {}, {
    domain: call.domain ?? '',
    name: 'call',
    outputs,
  });
  const open = builder.build();
  const { types } = infer(open);
  for (const name of outputs) {
    const { dtype, dims } = staticType(types, name);
    builder.output(name, dtype, dims);
  }
  return { graph: builder.build(), feeds };
}

export function evaluate(call: Call): Value[] {
  const { graph, feeds } = callGraph(call);
  return [...runGraph(graph, feeds).values()];
}

/** Evaluated shapes must be the inferred ones. */
export function expectInferredShapes(call: Call): void {
  const { graph, feeds } = callGraph(call);
  const results = runGraph(graph, feeds);
  for (const { name, dims, dtype } of graph.outputs) {
    expect(results.get(name)?.dims).toEqual(dims);
    expect(results.get(name)?.dtype).toBe(dtype);
  }
}

/** The call with a scalar `loss` on top: a random projection of its first output, and gradients as outputs. */
export function gradientGraph(call: Call, random: () => number, wrt: readonly string[]) {
  const { graph, feeds } = callGraph(call);
  const [y] = graph.outputs as ValueInfo[];
  if (!y) throw new Error('The call has no output.');
  const builder = GraphBuilder.from(graph, { dropOutputs: true });
  const projection = uniform(random, y.dims as number[]);
  const weights = builder.initializer('projection', tensorOf(projection));
  builder.node(
    'ReduceSum',
    [builder.node('Mul', [y.name, weights])],
    {
      keepdims: { type: 'int', value: 0 },
    },
    { outputs: ['loss'] },
  );
  const learned = differentiate(builder.build(), { numerator: 'loss' }, wrt);
  const outputs: ValueInfo[] = [{ name: 'loss', dtype: 'float32', dims: [] }];
  for (const [name, gradient] of learned.gradients) {
    const dims = feeds.get(name)?.dims ?? [];
    outputs.push({ name: gradient, dtype: 'float32', dims });
  }
  return { graph: { ...learned.graph, outputs }, gradients: learned.gradients, feeds };
}

/** Every float argument that is fed has the gradient that central differences in float64 say. */
export function expectGradients(call: Call, seed = 1, tolerance = 1e-5): void {
  const random = randomNumbers(seed);
  const wrt = call.inputs.flatMap((argument, index) =>
    argument?.dtype === 'float32' && !argument.constant ? [`x${index}`] : [],
  );
  const { graph, gradients, feeds } = gradientGraph(call, random, wrt);
  const analytic = runGraph(graph, feeds);
  const lossOnly: Graph = { ...graph, outputs: graph.outputs.slice(0, 1) };
  const loss = () => runGraph(lossOnly, feeds).get('loss')?.data[0] ?? NaN;
  const h = 1e-5;
  for (const name of wrt) {
    const feed = feeds.get(name) as Value;
    const found = analytic.get(gradients.get(name) ?? '') as Value;
    expect(found.dims, `${call.op} ${name}`).toEqual(feed.dims);
    for (let i = 0; i < feed.data.length; i++) {
      const old = feed.data[i] as number;
      feed.data[i] = old + h;
      const up = loss();
      feed.data[i] = old - h;
      const down = loss();
      feed.data[i] = old;
      const expected = (up - down) / (2 * h);
      const error = Math.abs((found.data[i] as number) - expected);
      const allowed = tolerance * Math.max(1, Math.abs(expected));
      expect(
        error <= allowed,
        `${call.op} d/d${name}[${i}]: ${found.data[i]} for ${expected}`,
      ).toBe(true);
    }
  }
}

export function tensorFeeds(feeds: ReadonlyMap<string, Value>): Map<string, Tensor> {
  return new Map([...feeds].map(([name, value]) => [name, tensorOf(value)]));
}
