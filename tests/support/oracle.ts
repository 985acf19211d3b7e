/** What else can be asked what an operator gives: onnxruntime, and the operator's own expansion. */
import { expect } from 'vitest';
import { isFloat } from '../../src/core/dtype';
import { runGraph } from '../../src/engine/reference/run-graph';
import type { Graph } from '../../src/onnx/graph';
import type { Value } from '../../src/ops/define';
import { expandOps } from '../../src/ops/expand-graph';
import { lookupOp } from '../../src/ops/registry';
import { callGraph, tensorFeeds } from './calls';
import type { Call } from './calls';
import { runOnnxRuntime } from './onnxruntime';

interface Found {
  readonly dims: readonly number[];
  readonly data: ArrayLike<number>;
}

export function expectSameValues(
  found: Found | undefined,
  wanted: Value,
  what: string,
  tolerance: number,
): void {
  expect(found?.dims, `${what}: shape`).toEqual(wanted.dims);
  wanted.data.forEach((value, i) => {
    const other = found?.data[i] ?? NaN;
    if (Object.is(other, value) || other === value) return;
    if (Number.isNaN(other) && Number.isNaN(value)) return;
    const error = Math.abs(other - value);
    const allowed = isFloat(wanted.dtype) ? tolerance * Math.max(1, Math.abs(value)) : 0;
    expect(error <= allowed, `${what}[${i}]: ${other} for ${value}`).toBe(true);
  });
}

export async function expectGraphAsOnnxRuntime(
  graph: Graph,
  feeds: ReadonlyMap<string, Value>,
  tolerance = 1e-5,
): Promise<void> {
  const wanted = runGraph(graph, feeds);
  const found = await runOnnxRuntime(graph, tensorFeeds(feeds), 'disabled');
  for (const [name, value] of wanted) expectSameValues(found.get(name), value, name, tolerance);
}

/** The reference kernel says what onnxruntime says. */
export async function expectAsOnnxRuntime(call: Call, tolerance = 1e-5): Promise<void> {
  const { graph, feeds } = callGraph(call);
  await expectGraphAsOnnxRuntime(graph, feeds, tolerance);
}

/** A composite written out, all the way down to operators that are not composites. */
export function expanded(graph: Graph): Graph {
  return expandOps(graph, ({ domain, op }) => lookupOp(domain, op)?.expand === undefined);
}

/** The reference kernel says what the expansion says, which leaves nothing of the operator. */
export function expectAsExpanded(call: Call, tolerance = 1e-9): void {
  const { graph, feeds } = callGraph(call);
  const simple = expanded(graph);
  expect(simple.nodes.map(({ op }) => op)).not.toContain(call.op);
  const found = runGraph(simple, feeds);
  for (const [name, value] of runGraph(graph, feeds)) {
    expectSameValues(found.get(name), value, name, tolerance);
  }
}
