import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Dim, Graph } from '../../../src/onnx/graph';
import { infer, inferShapes, staticType, withShapes } from '../../../src/ops/infer-shapes';

function weight(builder: GraphBuilder, name: string, dims: readonly number[]): string {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return builder.initializer(name, { dtype: 'float32', dims, data: new Float32Array(size) });
}

function smallCnn(): Graph {
  const builder = new GraphBuilder('cnn');
  const x = builder.input('x', 'float32', ['batch', 1, 8, 8]);
  const conv = builder.node('Conv', [x, weight(builder, 'w', [4, 1, 3, 3])]);
  const pool = builder.node('MaxPool', [conv], {
    kernel_shape: attr.ints([2, 2]),
    strides: attr.ints([2, 2]),
  });
  const flat = builder.node('Flatten', [pool], {}, { outputs: ['flat'] });
  builder.node('Gemm', [flat, weight(builder, 'g', [36, 10])], {}, { outputs: ['logits'] });
  builder.output('logits', 'float32', ['batch', 10]);
  return builder.build();
}

/** The shape of a reshaped value, written as exporters do: from the value's own Shape. */
function exportersReshape(): Graph {
  const builder = new GraphBuilder('exporter');
  const x = builder.input('x', 'float32', ['batch', 3, 4]);
  const shape = builder.node('Shape', [x]);
  const first = builder.node('Gather', [shape, builder.constant('int64', [], [0])]);
  const rows = builder.node('Unsqueeze', [first, builder.ints([0])]);
  const target = builder.node('Concat', [rows, builder.ints([-1])], { axis: attr.int(0) });
  builder.node('Reshape', [x, target], {}, { outputs: ['y'] });
  builder.output('y', 'float32', ['batch', 12]);
  return builder.build();
}

function dimsOf(graph: Graph, name: string, batch?: number): readonly Dim[] | undefined {
  return inferShapes(graph, batch === undefined ? {} : { batch }).get(name)?.dims;
}

describe('shape inference', () => {
  it('keeps the symbolic batch, or makes everything static', () => {
    expect(dimsOf(smallCnn(), 'flat')).toEqual(['batch', 36]);
    expect(dimsOf(smallCnn(), 'logits')).toEqual(['batch', 10]);
    expect(dimsOf(smallCnn(), 'flat', 32)).toEqual([32, 36]);
  });

  it('fills inputs, outputs and inner values', () => {
    const typed = withShapes(smallCnn(), { batch: 2 });
    expect(typed.inputs[0]?.dims).toEqual([2, 1, 8, 8]);
    expect(typed.outputs[0]?.dims).toEqual([2, 10]);
    expect(typed.valueInfo.get('flat')).toEqual({ dtype: 'float32', dims: [2, 36] });
  });

  it('closes what a file left open', () => {
    const builder = new GraphBuilder('open');
    const y = builder.node('Relu', [builder.input('x', 'float32', ['batch', 3])]);
    const graph = {
      ...builder.build(),
      outputs: [{ name: y, dtype: 'float32', dims: [], open: 'shape' }] as const,
    };
    expect(withShapes(graph).outputs).toEqual([{ name: y, dtype: 'float32', dims: ['batch', 3] }]);
  });

  it('works out shapes that the graph computes', () => {
    expect(dimsOf(exportersReshape(), 'y', 5)).toEqual([5, 12]);
    expect(infer(exportersReshape(), { batch: 5 }).constants.size).toBeGreaterThan(4);
    expect(dimsOf(exportersReshape(), 'y')).toHaveLength(2);
  });

  it.each([
    [
      [0, -1],
      ['batch', 12],
    ],
    [
      [-1, 12],
      ['batch', 12],
    ],
    [
      [-1, 3, 2, 2],
      ['batch', 3, 2, 2],
    ],
    [
      [0, 4, -1],
      ['batch', 4, 3],
    ],
  ])('reshapes [batch, 3, 4] to %j', (target, expected) => {
    const builder = new GraphBuilder('reshape');
    const x = builder.input('x', 'float32', ['batch', 3, 4]);
    builder.node('Reshape', [x, builder.ints(target)], {}, { outputs: ['y'] });
    expect(dimsOf(builder.build(), 'y')).toEqual(expected);
  });

  it.each([
    [
      'Add',
      [
        [2, 3],
        [4, 3],
      ],
      /shapes that broadcast, but is \[2, 3\] and \[4, 3\]/,
    ],
    [
      'MatMul',
      [
        [2, 3],
        [4, 3],
      ],
      /3 rows, but is 4/,
    ],
    [
      'Gemm',
      [
        [2, 3],
        [4, 3],
      ],
      /3 long on its inner axis/,
    ],
    [
      'Conv',
      [
        [1, 2, 5, 5],
        [4, 3, 3, 3],
      ],
      /3 channels, but is \[1, 2, 5, 5\]/,
    ],
    [
      'Conv',
      [
        [1, 2, 2, 2],
        [4, 2, 3, 3],
      ],
      /at most 2 long/,
    ],
    [
      'Concat',
      [
        [2, 3],
        [2, 4],
      ],
      /like \[2, 3\]/,
    ],
  ] as const)('%s of %j is refused with node, port, expected and found', (op, shapes, message) => {
    const builder = new GraphBuilder('bad');
    const inputs = shapes.map((dims, index) => builder.input(`x${index}`, 'float32', dims));
    builder.node(op, inputs, op === 'Concat' ? { axis: attr.int(0) } : {}, { name: 'middle' });
    let error: unknown;
    try {
      inferShapes(builder.build());
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(AppError);
    expect((error as AppError).code).toBe('onnx/shape');
    expect((error as AppError).message).toContain('"middle"');
    expect((error as AppError).message).toMatch(message);
  });

  it('refuses values from nowhere, wrong counts of inputs, and symbols where fixed shapes are needed', () => {
    const dangling = new GraphBuilder('dangling');
    dangling.node('Neg', ['ghost']);
    expect(() => inferShapes(dangling.build())).toThrow(/reads "ghost"/);
    const lonely = new GraphBuilder('lonely');
    lonely.node('Add', [lonely.input('x', 'float32', [1])]);
    expect(() => inferShapes(lonely.build())).toThrow(/has 1 inputs; it takes 2 to 2/);
    expect(() => staticType(inferShapes(smallCnn()), 'flat')).toThrow(/must be fixed/);
  });

  it('leaves open what a slice of unknown bounds or of the batch gives', () => {
    const builder = new GraphBuilder('slice');
    const x = builder.input('x', 'float32', ['batch', 4]);
    const bound = builder.input('bound', 'int64', [1]);
    builder.node('Slice', [x, builder.ints([0]), bound], {}, { name: 's', outputs: ['a'] });
    const [start, end] = [builder.ints([1, 1]), builder.ints([9, 3])];
    builder.node('Slice', [x, start, end], {}, { name: 't', outputs: ['b'] });
    expect(dimsOf(builder.build(), 'a')).toEqual(['s_0', 4]);
    expect(dimsOf(builder.build(), 'b')).toEqual(['min(9, batch) - 1', 2]);
    expect(dimsOf(builder.build(), 'b', 4)).toEqual([3, 2]);
  });

  it('refuses settings it does not carry out', () => {
    const builder = new GraphBuilder('four');
    const x = builder.input('x', 'float32', [1, 1, 4, 4, 4, 4]);
    builder.node('MaxPool', [x], { kernel_shape: attr.ints([2, 2, 2, 2]) });
    expect(() => inferShapes(builder.build())).toThrow(/should be of rank 3, 4 or 5/);
  });
});
