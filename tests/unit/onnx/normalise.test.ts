/** Rules that no small file shows; what files compute is in old-models.test.ts. */
import { describe, expect, it } from 'vitest';
import type { DType } from '../../../src/core/dtype';
import { GraphBuilder } from '../../../src/onnx/builder';
import { checkGraph } from '../../../src/onnx/check';
import { attr, INTERNAL_OPSET } from '../../../src/onnx/graph';
import type { Attribute, Graph } from '../../../src/onnx/graph';
import { normalise } from '../../../src/onnx/normalise/normalise';

interface Old {
  readonly op: string;
  readonly opset: number;
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly inputs?: number;
  readonly outputs?: readonly string[];
  readonly dtype?: DType;
}

/** One node of an old opset, normalised. */
function normal({
  op,
  opset,
  attributes = {},
  inputs = 1,
  outputs = ['y'],
  dtype = 'float32',
}: Old): Graph {
  const builder = new GraphBuilder('old');
  const names = Array.from({ length: inputs }, (_, i) => builder.input(`x${i}`, dtype, [2, 4]));
  builder.nodes(op, names, outputs.length, attributes, { name: 'node', outputs });
  builder.output('y', dtype, [2, 4]);
  const graph = normalise({ ...builder.build(), opsets: new Map([['', opset]]) });
  checkGraph(graph);
  expect(graph.opsets.get('')).toBe(INTERNAL_OPSET);
  return graph;
}

describe('normalise', () => {
  it('leaves a graph of the internal opset as it is', () => {
    const builder = new GraphBuilder('now');
    const x = builder.input('x', 'float32', [2, 4]);
    builder.output(builder.node('Softmax', [x], { axis: attr.int(0) }), 'float32', [2, 4]);
    const graph = builder.build();
    expect(normalise(graph)).toEqual(graph);
    expect(normalise(graph).nodes[0]).toBe(graph.nodes[0]);
  });

  it('drops outputs of a batch norm that nothing reads, and refuses those that are read', () => {
    const outputs = ['y', 'mean', 'variance', 'saved', 'other'];
    const old = { op: 'BatchNormalization', opset: 9, inputs: 5, outputs };
    expect(normal(old).nodes[0]?.outputs).toEqual(['y']);
    expect(() => normal({ ...old, outputs: ['other', 'y'] })).toThrow(/statistics are used/);
    const each = {
      op: 'BatchNormalization',
      opset: 7,
      inputs: 5,
      attributes: { spatial: attr.int(0) },
    };
    expect(() => normal(each)).toThrow(/"node".*each position/);
  });

  it('writes limits in the type of what they limit', () => {
    const graph = normal({
      ...{ op: 'Clip', opset: 6, dtype: 'float16' },
      attributes: { max: attr.float(6) },
    });
    const [node] = graph.nodes;
    expect(node?.inputs.slice(0, 2)).toEqual(['x0', '']);
    expect(graph.initializers.get(node?.inputs[2] ?? '')).toEqual({
      ...{ dtype: 'float16', dims: [], data: Uint16Array.of(0x4600) },
    });
  });

  it('reads types that are written as words', () => {
    const cast = (to: string) =>
      normal({ op: 'Cast', opset: 7, attributes: { to: attr.string(to) } });
    expect(cast('FLOAT16').nodes[0]?.attributes.get('to')).toEqual(attr.int(10));
    expect(cast('DOUBLE').nodes[0]?.attributes.get('to')).toEqual(attr.int(11));
    expect(() => cast('COLOUR')).toThrow(/"colour", which is no type/);
  });

  it('makes a matrix for a softmax over several axes, and none over the last', () => {
    const ops = (axis: number) =>
      normal({ op: 'Softmax', opset: 11, attributes: { axis: attr.int(axis) } }).nodes.map(
        ({ op }) => op,
      );
    expect(ops(0)).toEqual(['Flatten', 'Softmax', 'Shape', 'Reshape']);
    expect(ops(1)).toEqual(['Softmax']);
    expect(ops(-1)).toEqual(['Softmax']);
  });

  it('asks for equal parts by their number, and moves the axis of a transform', () => {
    const split = normal({ op: 'Split', opset: 13, outputs: ['y', 'z'] });
    expect(split.nodes[0]?.attributes.get('num_outputs')).toEqual(attr.int(2));
    const dft = normal({ op: 'DFT', opset: 17 });
    expect(dft.nodes[0]?.inputs.length).toBe(3);
    expect(dft.nodes[0]?.inputs[1]).toBe('');
    expect(dft.initializers.get(dft.nodes[0]?.inputs[2] ?? '')?.data).toEqual(BigInt64Array.of(1n));
  });

  it('takes no name that is in use, in bodies neither', () => {
    const inner = new GraphBuilder('inner');
    inner.node('Squeeze', ['x'], { axes: attr.ints([0]) }, { name: 'const', outputs: ['const_1'] });
    const body = {
      ...inner.build(),
      outputs: [{ name: 'const_1', dtype: 'float32', dims: [] }],
    } as const;
    const builder = new GraphBuilder('names');
    builder.input('x', 'float32', [1]);
    const condition = builder.input('c', 'bool', []);
    builder.node('If', [condition], {
      then_branch: attr.graph(body),
      else_branch: attr.graph(body),
    });
    builder.node('Unsqueeze', ['x'], { axes: attr.ints([0]) }, { outputs: ['const_2'] });
    const graph = normalise({ ...builder.build(), opsets: new Map([['', 11]]) });
    checkGraph(graph);
    expect([...graph.initializers.keys()]).toHaveLength(1);
    const [first] = graph.nodes;
    const branch = first?.attributes.get('then_branch');
    expect(branch?.type === 'graph' && branch.value.nodes[0]?.inputs.length).toBe(2);
  });
});
