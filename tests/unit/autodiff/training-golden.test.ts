/** Operators of a training step give PyTorch's outputs and gradients (tools/golden/training_operators.py). */
import { describe, expect, it } from 'vitest';
import { differentiate } from '../../../src/autodiff/differentiate';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Attribute, ValueInfo } from '../../../src/onnx/graph';
import { callGraph, given } from '../../support/calls';
import { relativeDistance } from '../../support/golden';
import golden from '../../fixtures/golden/training-operators.json';

const attributeOf = (name: string, value: string | number): Attribute => {
  if (typeof value === 'string') return attr.string(value);
  return name === 'epsilon' ? attr.float(value) : attr.int(value);
};

const attributesOf = (values: object): Record<string, Attribute> =>
  Object.fromEntries(
    Object.entries(values as Record<string, string | number | undefined>).flatMap(
      ([name, value]) => (value === undefined ? [] : [[name, attributeOf(name, value)]]),
    ),
  );

describe('PyTorch', () => {
  it.each(golden.cases)('$name', ({ op, attributes, inputs, dy, output, gradients }) => {
    const call = callGraph({
      op,
      attributes: attributesOf(attributes),
      inputs: inputs.map(({ dims, data, int }) => given(int ? 'int64' : 'float32', dims, data)),
    });
    const builder = GraphBuilder.from(call.graph, { dropOutputs: true });
    builder.input('dy', 'float32', dy.dims);
    const weighted = builder.node('Mul', ['y0', 'dy']);
    builder.node('ReduceSum', [weighted], { keepdims: attr.int(0) }, { outputs: ['loss'] });
    const wrt = inputs.flatMap(({ int }, index) => (int ? [] : [`x${index}`]));
    const learned = differentiate(builder.build(), { numerator: 'loss' }, wrt);
    // The gradient is one node of the training domain, not the operator's expansion.
    expect(learned.graph.nodes.at(-1)?.op).toMatch(/Grad$/);
    const wanted = ['y0', ...learned.gradients.values()];
    const outputs = wanted.map((name): ValueInfo => ({ name, dtype: 'float32', dims: [] }));
    const feeds = call.feeds.set('dy', given('float32', dy.dims, dy.data));
    const found = runGraph({ ...learned.graph, outputs }, feeds);
    expect(relativeDistance(found.get('y0')?.data ?? [], output.data)).toBeLessThan(1e-8);
    wrt.forEach((name) => {
      const expected = gradients[Number(name.slice(1))];
      const value = found.get(learned.gradients.get(name) ?? '');
      expect(value?.dims).toEqual(expected?.dims);
      expect(relativeDistance(value?.data ?? [], expected?.data ?? []), name).toBeLessThan(1e-8);
    });
  });
});
