/** What differentiate puts in a node's place, and that nothing of the backward pass is computed twice. */
import { describe, expect, it } from 'vitest';
import { differentiate } from '../../../src/autodiff/differentiate';
import { mergeEqual } from '../../../src/autodiff/merge-equal';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import type { Graph } from '../../../src/onnx/graph';
import { callGraph, gradientGraph, randomNumbers, uniform } from '../../support/calls';
import type { Argument, Call } from '../../support/calls';
import { checkGradients } from '../../support/gradient-check';
import { attentionCalls } from '../../support/training-calls';

const random = randomNumbers(5);
const x = (...dims: number[]): Argument => uniform(random, dims);

function opsOf(call: Call, wrt: readonly string[]): string[] {
  return gradientGraph(call, randomNumbers(1), wrt).graph.nodes.map(({ op }) => op);
}

describe('norms', () => {
  it('the gradient of LayerNormalization is one node that reads the forward statistics', () => {
    const call: Call = { op: 'LayerNormalization', inputs: [x(3, 4), x(4), x(4)] };
    const { graph } = gradientGraph(call, randomNumbers(1), ['x0', 'x2']);
    expect(graph.nodes.filter(({ op }) => op === 'LayerNormalization')).toHaveLength(1);
    const [forward] = graph.nodes;
    expect(forward?.outputs).toEqual(['y0', 'y0/mean', 'y0/inv_std']);
    const gradient = graph.nodes.at(-1);
    expect([gradient?.domain, gradient?.op]).toEqual([TRAINING_DOMAIN, 'LayerNormGrad']);
    expect(gradient?.inputs.slice(1)).toEqual(['x0', 'x1', 'y0/mean', 'y0/inv_std']);
    expect(gradient?.outputs).toEqual(['y0/dx', '', 'y0/dbias']);
  });

  it('a scale that is broadcast keeps the nodes of the rule', () => {
    const call: Call = { op: 'LayerNormalization', inputs: [x(2, 3, 4), x(3, 1), x(1)] };
    const ops = opsOf({ ...call, attributes: { axis: attr.int(1) } }, ['x0', 'x1', 'x2']);
    expect(ops).not.toContain('LayerNormGrad');
    expect(ops.filter((op) => op === 'LayerNormalization')).toHaveLength(1);
  });

  it('RMSNormalization becomes the form that tells its inverse', () => {
    const ops = opsOf({ op: 'RMSNormalization', inputs: [x(3, 4), x(4)] }, ['x0']);
    expect([ops[0], ops.at(-1)]).toEqual(['RMSNormTrain', 'RMSNormGrad']);
    expect(opsOf({ op: 'RMSNormalization', inputs: [x(3, 4), x(1)] }, ['x0'])).not.toContain(
      'RMSNormTrain',
    );
  });

  it('what nothing learns through stays as it is', () => {
    const builder = new GraphBuilder('frozen');
    const input = builder.input('x', 'float32', [2, 3]);
    const scale = builder.initializer('s', {
      dtype: 'float32',
      dims: [3],
      data: new Float32Array(3),
    });
    const weight = builder.input('w', 'float32', [2, 3]);
    const normal = builder.node('RMSNormalization', [input, scale]);
    builder.node(
      'ReduceSum',
      [builder.node('Mul', [normal, weight])],
      { keepdims: attr.int(0) },
      { outputs: ['loss'] },
    );
    const { graph } = differentiate(builder.build(), { numerator: 'loss' }, ['w']);
    expect(graph.nodes.map(({ op }) => op)).toContain('RMSNormalization');
  });
});

describe('Attention', () => {
  const calls = attentionCalls();

  it('becomes one node and one for its gradient, which central differences confirm', () => {
    for (const call of calls) {
      const ops = opsOf(call, ['x0', 'x1', 'x2']);
      expect([ops[0], ops.at(-1)]).toEqual(['AttentionTrain', 'AttentionGrad']);
      expect(ops).not.toContain('Softmax');
      checkGradients(call, { elements: 6 });
    }
  });

  it('of other forms is written out as before', () => {
    const [plain] = calls;
    if (!plain) throw new Error('There is no call.');
    const mask = uniform(random, [4, 4]);
    for (const call of [
      { ...plain, inputs: [...plain.inputs, mask] },
      { ...plain, attributes: { ...plain.attributes, softcap: attr.float(2) } },
      { ...plain, outputs: 3 },
    ]) {
      const ops = opsOf(call, ['x0']);
      expect(ops).not.toContain('AttentionTrain');
      expect(ops).toContain('Softmax');
    }
  });
});

describe('mergeEqual', () => {
  function graph(): Graph {
    const builder = new GraphBuilder('twice');
    builder.input('x', 'float32', [2]);
    builder.node('Exp', ['x'], {}, { outputs: ['a'] });
    builder.node('Exp', ['x'], {}, { outputs: ['b'] });
    builder.node('Exp', ['x'], {}, { outputs: ['c'] });
    builder.node('Neg', ['a'], {}, { outputs: ['d'] });
    builder.node('Neg', ['c'], {}, { outputs: ['e'] });
    builder.node('LeakyRelu', ['c'], { alpha: attr.float(0.1) }, { outputs: ['f'] });
    builder.node('LeakyRelu', ['c'], { alpha: attr.float(0.2) }, { outputs: ['g'] });
    builder.node('RandomNormalLike', ['c'], {}, { outputs: ['h'] });
    builder.node('RandomNormalLike', ['c'], {}, { outputs: ['i'] });
    builder.output('f', 'float32', [2]);
    return builder.build();
  }

  it('keeps the forward pass, and of the rest what differs', () => {
    const gradients = new Map([['x', 'e']]);
    const merged = mergeEqual({ graph: graph(), forwardNodes: 2, gradients });
    const names = merged.graph.nodes.flatMap(({ outputs }) => outputs);
    expect(names).toEqual(['a', 'b', 'd', 'f', 'g', 'h', 'i']);
    expect(merged.gradients.get('x')).toBe('d');
    expect(merged.graph.nodes.find(({ outputs }) => outputs[0] === 'f')?.inputs).toEqual(['a']);
  });

  it('does not rename what is asked for', () => {
    const open = graph();
    const outputs = [{ name: 'c', dtype: 'float32', dims: [2] } as const];
    const merged = mergeEqual({
      graph: { ...open, outputs },
      forwardNodes: 2,
      gradients: new Map(),
    });
    expect(merged.graph.nodes.flatMap((node) => node.outputs)).toContain('c');
  });
});

describe('shape rules of training operators', () => {
  const grad = (...inputs: Argument[]): Call => ({
    op: 'LayerNormGrad',
    domain: TRAINING_DOMAIN,
    inputs,
    attributes: { axis: attr.int(1) },
    outputs: 3,
  });

  const attention = (op: string, ...inputs: Argument[]): Call => ({ ...grad(...inputs), op });
  const four = [x(1, 2, 3, 4), x(1, 2, 3, 4), x(1, 2, 3, 4)];

  it.each([
    ['dY', grad(x(3, 5), x(3, 4), x(4), x(3, 1), x(3, 1))],
    ['scale', grad(x(3, 4), x(3, 4), x(3), x(3, 1), x(3, 1))],
    ['mean', grad(x(3, 4), x(3, 4), x(4), x(3), x(3, 1))],
    ['inv_std', grad(x(3, 4), x(3, 4), x(4), x(3, 1), x(1, 4))],
    ['scale', { ...grad(x(3, 4), x(3)), op: 'RMSNormTrain', outputs: 2 }],
    ['inv_rms', { ...grad(x(3, 4), x(3, 4), x(4), x(3)), op: 'RMSNormGrad', outputs: 2 }],
    ['dY', { ...grad(x(2, 3), x(2)), op: 'GatherGrad', attributes: { dims: attr.ints([5, 4]) } }],
    ['dY', { ...grad(x(2, 3), x(3)), op: 'GeluGrad', outputs: 1 }],
    ['dY', { ...grad(x(3), x(2, 3)), op: 'SoftmaxGrad', outputs: 1 }],
    ['axis', { ...grad(x(3), x(3)), op: 'SoftmaxGrad', outputs: 1 }],
    ['dims', { ...grad(x(2), x(2)), op: 'GatherGrad', attributes: {} }],
    ['K and V', attention('AttentionTrain', x(1, 2, 3, 4), x(1, 2, 3, 5), x(1, 2, 3, 4))],
    ['dY', attention('AttentionGrad', x(1, 2, 3, 5), ...four, x(1, 2, 3, 4), x(1, 2, 3))],
    ['lse', attention('AttentionGrad', x(1, 2, 3, 4), ...four, x(1, 2, 3, 4), x(1, 3, 2))],
  ])('a wrong %s is named', (port, call) => {
    expect(() => callGraph(call)).toThrow(
      expect.objectContaining({
        code: 'onnx/shape',
        message: expect.stringContaining(port) as string,
      }),
    );
  });

  it('all outputs of LayerNormGrad are those of its rule', () => {
    const call = grad(x(3, 4), x(3, 4), x(4), x(3, 1), x(3, 1));
    const { graph, feeds } = callGraph(call);
    expect([...runGraph(graph, feeds).values()].map(({ dims }) => dims)).toEqual([
      [3, 4],
      [4],
      [4],
    ]);
  });
});
