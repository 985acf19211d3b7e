/** Gradients of whole layers equal PyTorch's, on the reference and written out on onnxruntime. */
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { TRAINING_DOMAIN } from '../../../src/onnx/graph';
import { expandTrainingOps } from '../../../src/ops/expand-graph';
import { expectedOf, gradientsGraph, relativeError, VARIANTS } from '../../support/composites';
import { runOnnxRuntime } from '../../support/onnxruntime';

describe.each(VARIANTS)('%s', (name, composite) => {
  const { graph, feeds } = gradientsGraph(name, composite);
  const expected = expectedOf(composite);

  it('equals PyTorch on the reference', () => {
    const found = runGraph(graph, feeds);
    for (const [output, values] of expected) {
      expect(relativeError(found.get(output)?.data ?? [], values), output).toBeLessThan(1e-6);
    }
  });

  it.each(['disabled', 'all'] as const)(
    'equals PyTorch on onnxruntime, optimisation %s',
    async (level) => {
      const standard = expandTrainingOps(graph);
      expect(standard.nodes.some(({ domain }) => domain === TRAINING_DOMAIN)).toBe(false);
      const found = await runOnnxRuntime(standard, feeds, level);
      for (const [output, values] of expected) {
        expect(relativeError(found.get(output)?.data ?? [], values), output).toBeLessThan(2e-5);
      }
    },
  );
});
