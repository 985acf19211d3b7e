/** The body of each training-only operator says on onnxruntime what its kernel says: optimisation off and on. */
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { isOptimiser } from '../../../src/engine/optimiser';
import { TRAINING_DOMAIN } from '../../../src/onnx/graph';
import { expandTrainingOps } from '../../../src/ops/expand-graph';
import { makeNode } from '../../../src/ops/nodes';
import { ALL_OPS } from '../../../src/ops/registry';
import { relativeError } from '../../support/composites';
import { runOnnxRuntime } from '../../support/onnxruntime';
import { trainingCalls } from '../../support/training-calls';

const calls = trainingCalls();
const ops = [...new Set(calls.map(({ op }) => op))].sort();

it('none is left out', () => {
  const all = ALL_OPS.filter(
    ({ domain, name }) =>
      domain === TRAINING_DOMAIN &&
      !isOptimiser({ ...makeNode(name, []), domain }) &&
      // Drawn on the host where there is no kernel: engine/host-masks.
      name !== 'DropoutMask',
  );
  expect(all.filter(({ expand }) => !expand).map(({ name }) => name)).toEqual([]);
  expect(ops).toEqual(all.map(({ name }) => name).sort());
});

describe.each(ops)('%s', (op) => {
  it.each(['disabled', 'all'] as const)('optimisation %s', async (level) => {
    for (const { graph, feeds } of calls.filter((call) => call.op === op)) {
      const expected = runGraph(graph, feeds);
      const found = await runOnnxRuntime(expandTrainingOps(graph), feeds, level);
      for (const [name, value] of expected) {
        expect(found.get(name)?.dims).toEqual(value.dims);
        const error = relativeError(found.get(name)?.data ?? [], Array.from(value.data));
        expect(error, `${name} of ${graph.name}`).toBeLessThan(1e-5);
      }
    }
  });
});
