import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../src/onnx/builder';
import { checkGraph } from '../../../src/onnx/check';
import {
  concatGraphs,
  pruneUnused,
  withInitializers,
  withMetadata,
  withOutputs,
} from '../../../src/onnx/compose';
import { attr } from '../../../src/onnx/graph';
import type { Graph } from '../../../src/onnx/graph';
import { graphHash } from '../../../src/onnx/hash';
import { writeModel } from '../../../src/onnx/writer';
import { tinyLogits, tinyMlp } from './graphs';

/** numeric [batch,3] -> (numeric - 1) * 2 -> features; its inner names collide with tinyMlp's on purpose. */
function recipe(dims: readonly (number | string)[] = ['batch', 3]): Graph {
  const builder = new GraphBuilder('recipe');
  builder.input('numeric', 'float32', dims);
  const shifted = builder.node(
    'Sub',
    [
      'numeric',
      builder.initializer('w1', { dtype: 'float32', dims: [1], data: Float32Array.of(1) }),
    ],
    {},
    { name: 'Gemm_0' },
  );
  builder.output(
    builder.node('Mul', [shifted, builder.scalar(2)], {}, { outputs: ['features'] }),
    'float32',
    dims,
  );
  builder.metadata('terrarium.recipe', '{}');
  return builder.build();
}

describe('concatGraphs', () => {
  it('joins a recipe and a model into one that runs', async () => {
    const joint = concatGraphs(recipe(), tinyMlp(), { features: 'features' });
    checkGraph(joint);
    expect(joint.inputs.map((input) => input.name)).toEqual(['numeric']);
    expect(joint.outputs.map((output) => output.name)).toEqual(['logits', 'probabilities']);
    expect(joint.initializers.get('w1')?.dims).toEqual([4, 3]);
    expect([...joint.metadata.keys()]).toEqual(['terrarium.recipe', 'terrarium.note']);
    const session = await InferenceSession.create(writeModel(joint));
    const numeric = [0.5, 2, -1];
    const result = await session.run({
      numeric: new OrtTensor('float32', Float32Array.from(numeric), [1, 3]),
    });
    const expected = tinyLogits(numeric.map((value) => (value - 1) * 2));
    [...(result['logits']?.data as Float32Array)].forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i] ?? NaN, 5);
    });
  });

  it('joins ports of different names and keeps both outputs when asked', () => {
    const builder = new GraphBuilder('post');
    builder.input('scores', 'float32', ['batch', 2]);
    builder.output(
      builder.node('ArgMax', ['scores'], { axis: attr.int(1) }, { outputs: ['best'] }),
      'int64',
      ['batch', 1],
    );
    const joint = concatGraphs(
      tinyMlp(),
      builder.build(),
      { scores: 'logits' },
      { outputs: 'both' },
    );
    checkGraph(joint);
    expect(joint.outputs.map((output) => output.name)).toEqual(['logits', 'probabilities', 'best']);
  });

  it('refuses ports that do not fit or do not exist', () => {
    expect(() => concatGraphs(recipe(['batch', 4]), tinyMlp(), { features: 'features' })).toThrow(
      /float32 \[batch, 4\].*does not fit/,
    );
    expect(() => concatGraphs(recipe(), tinyMlp(), { features: 'nothing' })).toThrow(/"nothing"/);
    expect(() => concatGraphs(recipe(), tinyMlp(), { nothing: 'features' })).toThrow(/"nothing"/);
    expect(() => concatGraphs(tinyMlp(), tinyMlp(), { features: 'logits' })).toThrow(
      /does not fit/,
    );
  });
});

describe('pruneUnused', () => {
  it('keeps what the outputs need', () => {
    const [logits] = tinyMlp().outputs;
    const pruned = pruneUnused(withOutputs(tinyMlp(), logits ? [logits] : []));
    expect(pruned.nodes.map((node) => node.op)).toEqual(['Gemm', 'Relu', 'Gemm']);
    const hidden = tinyMlp().nodes[0]?.outputs[0] ?? '';
    const less = pruneUnused(
      withOutputs(tinyMlp(), [{ name: hidden, dtype: 'float32', dims: ['batch', 4] }]),
    );
    expect([...less.initializers.keys()]).toEqual(['w1', 'b1']);
    checkGraph(less);
  });
});

describe('withInitializers', () => {
  it('replaces values and leaves the old graph alone', () => {
    const graph = tinyMlp();
    const changed = withInitializers(graph, new Map([['b1', Float32Array.of(1, 2, 3, 4)]]));
    expect(changed.initializers.get('b1')?.data).toEqual(Float32Array.of(1, 2, 3, 4));
    expect(graph.initializers.get('b1')).toEqual(tinyMlp().initializers.get('b1'));
  });

  it('refuses another name, length or type', () => {
    const put = (name: string, value: Float32Array | Int32Array): unknown =>
      withInitializers(tinyMlp(), new Map([[name, value]]));
    expect(() => put('b9', new Float32Array(4))).toThrow(/no weight "b9"/);
    expect(() => put('b1', new Float32Array(5))).toThrow(/5 elements/);
    expect(() => put('b1', new Int32Array(4))).toThrow(/"b1"/);
  });
});

describe('graphHash', () => {
  it('sees structure and weights, not words', async () => {
    const base = await graphHash(tinyMlp());
    const graph = tinyMlp();
    expect(
      await graphHash(withMetadata({ ...graph, name: 'other', docString: 'x' }, { a: 'b' })),
    ).toBe(base);
    const reordered = { ...graph, initializers: new Map([...graph.initializers].reverse()) };
    expect(await graphHash(reordered)).toBe(base);
    const weights = new Map([['b1', Float32Array.of(0.1, -0.2, 0, 1.5)]]);
    const [first, ...rest] = graph.nodes;
    const others: Graph[] = [
      withInitializers(graph, weights),
      withOutputs(graph, graph.outputs.slice(1)),
      { ...graph, nodes: first ? [{ ...first, op: 'Conv' }, ...rest] : [] },
      { ...graph, nodes: first ? [{ ...first, attributes: new Map() }, ...rest] : [] },
    ];
    const hashes = await Promise.all(others.map(graphHash));
    expect(new Set([base, ...hashes]).size).toBe(5);
  });
});

describe('checkGraph', () => {
  const graph = tinyMlp();
  const [first] = graph.nodes;

  it.each<[string, Partial<Graph>]>([
    ['onnx/unknown-input', { nodes: graph.nodes.slice(1) }],
    ['onnx/order', { nodes: graph.nodes.toReversed() }],
    ['onnx/duplicate-name', { nodes: first ? [first, ...graph.nodes] : [] }],
    ['onnx/duplicate-name', { outputs: [...graph.outputs, ...graph.outputs] }],
    ['onnx/no-output', { outputs: [{ name: 'ghost', dtype: 'float32', dims: [] }] }],
    ['onnx/no-opset', { opsets: new Map() }],
    ['onnx/no-name', { inputs: [{ name: '', dtype: 'float32', dims: [] }] }],
    [
      'onnx/tensor-size',
      {
        initializers: new Map([['w1', { dtype: 'float32', dims: [2], data: new Float32Array(3) }]]),
      },
    ],
    [
      'onnx/dtype',
      { initializers: new Map([['w1', { dtype: 'int64', dims: [2], data: new Float32Array(2) }]]) },
    ],
  ])('finds %s', (code, change) => {
    expect(() => {
      checkGraph({ ...graph, ...change });
    }).toThrow(expect.objectContaining({ code }));
  });
});
