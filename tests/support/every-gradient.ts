/** The gradient of every differentiable operator on a device executor, against the reference interpreter. */
import { expect, it } from 'vitest';
import { isFloat } from '../../src/core/dtype';
import type { Executor } from '../../src/engine/executor';
import { runGraph } from '../../src/engine/reference/run-graph';
import { gradientGraph, randomNumbers, tensorFeeds } from './calls';
import { relativeError } from './composites';
import { DIFFERENTIABLE_CALLS } from './differentiable-calls';

/**
 * Makes a test an operator.
 * @param coarse operators whose functions the device gives with fewer digits, and the error allowed for them
 */
export function testEveryGradient(
  executor: () => Executor,
  coarse: Readonly<Record<string, number>> = {},
): void {
  it.each(DIFFERENTIABLE_CALLS.map((call) => [call.op, call] as const))('%s', async (op, call) => {
    const wrt = call.inputs.flatMap((argument, index) =>
      argument && isFloat(argument.dtype) && !argument.constant ? [`x${index}`] : [],
    );
    const { graph, feeds } = gradientGraph(call, randomNumbers(7), wrt);
    const found = await executor().evaluate(graph, tensorFeeds(feeds));
    for (const [output, { data }] of runGraph(graph, feeds)) {
      const numbers = Array.from(found.get(output)?.data ?? [], Number);
      const error = relativeError(numbers, Array.from(data));
      expect(error, output).toBeLessThan(coarse[op] ?? 1e-4);
    }
  });
}
