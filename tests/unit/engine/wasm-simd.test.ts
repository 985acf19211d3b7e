/** The emitted kernels, on one thread, against the reference interpreter. tests/browser/engine has them on two. */
import { describe, expect, it } from 'vitest';
import { isFloat } from '../../../src/core/dtype';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { callGraph, gradientGraph, randomNumbers } from '../../support/calls';
import { DIFFERENTIABLE_CALLS } from '../../support/differentiable-calls';
import { largestError, openEngine, runSimd } from '../../support/simd';
import { SIMD_CALLS } from '../../support/simd-calls';
import { trainingCalls } from '../../support/training-calls';

const engine = openEngine();

describe('kernels on odd lengths', () => {
  it.each(SIMD_CALLS)('%s', async (_, call) => {
    const { graph, feeds } = callGraph(call);
    const found = await runSimd(engine, graph, feeds);
    expect(found, 'has a kernel').toBeDefined();
    for (const [name, { data }] of runGraph(graph, feeds)) {
      expect(largestError(found?.get(name), data), name).toBeLessThan(5e-6);
    }
  });
});

/** Operators whose gradients this executor leaves to onnxruntime. A line less is progress; a line more is a bug. */
const LEFT: readonly string[] = [
  ...['Acos', 'Asin', 'Atan', 'CumSum', 'Dropout', 'GatherElements', 'GatherND', 'GlobalMaxPool'],
  ...['LRN', 'MaxUnpool', 'Mod', 'NegativeLogLikelihoodLoss', 'OneHot', 'Pad', 'Pow'],
  ...[
    'ReverseSequence',
    'ScatterElements',
    'ScatterND',
    'SoftmaxCrossEntropyLoss',
    'Tile',
    'TopK',
    'Trilu',
  ],
];

it('gives the gradients of all operators but those it leaves', async () => {
  const left: string[] = [];
  for (const call of DIFFERENTIABLE_CALLS) {
    const wrt = call.inputs.flatMap((argument, index) =>
      argument && isFloat(argument.dtype) && !argument.constant ? [`x${index}`] : [],
    );
    const { graph, feeds } = gradientGraph(call, randomNumbers(7), wrt);
    const found = await runSimd(engine, graph, feeds);
    if (found === undefined) {
      left.push(call.op);
      continue;
    }
    for (const [name, { data }] of runGraph(graph, feeds)) {
      expect(largestError(found.get(name), data), `${call.op} ${name}`).toBeLessThan(2e-5);
    }
  }
  expect([...new Set(left)].sort()).toEqual(LEFT);
});

it('has kernels for operators of the training domain', async () => {
  for (const { op, graph, feeds } of trainingCalls()) {
    const found = await runSimd(engine, graph, feeds);
    if (found === undefined) continue;
    const values = new Map(
      Array.from(feeds, ([name, { dtype, dims, data }]) => [
        name,
        { dtype, dims, data: Float64Array.from(data as Float32Array, Number) },
      ]),
    );
    for (const [name, { data }] of runGraph(graph, values)) {
      expect(largestError(found.get(name), data), `${op} ${name}`).toBeLessThan(5e-5);
    }
  }
});
