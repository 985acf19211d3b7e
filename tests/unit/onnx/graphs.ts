/** Small graphs that the ONNX tests share. */
import type { DType, TensorArray } from '../../../src/core/dtype';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Graph } from '../../../src/onnx/graph';

/** features [batch,3] -> Gemm 3->4 -> Relu -> Gemm 4->2 -> logits, Softmax -> probabilities. */
export function tinyMlp(): Graph {
  const builder = new GraphBuilder('tiny');
  builder.input('features', 'float32', ['batch', 3]);
  builder.initializer('w1', {
    dtype: 'float32',
    dims: [4, 3],
    data: Float32Array.from({ length: 12 }, (_, i) => (i - 5) / 7),
  });
  builder.initializer('b1', {
    dtype: 'float32',
    dims: [4],
    data: Float32Array.of(0.1, -0.2, 0, 1),
  });
  builder.initializer('w2', {
    dtype: 'float32',
    dims: [2, 4],
    data: Float32Array.of(1, 2, -1, 0.5, 0.25, -2, 1, 1),
  });
  const hidden = builder.node('Gemm', ['features', 'w1', 'b1'], { transB: attr.int(1) });
  const active = builder.node('Relu', [hidden]);
  const logits = builder.node(
    'Gemm',
    [active, 'w2'],
    { transB: attr.int(1), alpha: attr.float(0.1) },
    { outputs: ['logits'] },
  );
  const probabilities = builder.node(
    'Softmax',
    [logits],
    { axis: attr.int(-1) },
    { outputs: ['probabilities'] },
  );
  builder.output(logits, 'float32', ['batch', 2]);
  builder.output(probabilities, 'float32', ['batch', 2]);
  builder.metadata('terrarium.note', 'ein Wörtchen 🌱');
  return builder.build();
}

/** What tinyMlp's logits must be, in float64. */
export function tinyLogits(features: readonly number[]): number[] {
  const graph = tinyMlp();
  const weights = (name: string): number[] =>
    [...(graph.initializers.get(name)?.data ?? [])].map(Number);
  const product = (x: readonly number[], w: readonly number[], rows: number): number[] =>
    Array.from({ length: rows }, (_, row) =>
      x.reduce((sum, value, i) => sum + value * (w[row * x.length + i] ?? NaN), 0),
    );
  const b1 = weights('b1');
  const hidden = product(features, weights('w1'), 4).map((value, i) =>
    Math.max(0, value + (b1[i] ?? NaN)),
  );
  return product(hidden, weights('w2'), 2).map((value) => value * 0.1);
}

const SAMPLES: readonly (readonly [DType, TensorArray])[] = [
  ['float32', Float32Array.of(1.5, -0, Infinity, NaN)],
  ['uint8', Uint8Array.of(0, 255, 7, 1)],
  ['int8', Int8Array.of(-128, 127, -1, 0)],
  ['uint16', Uint16Array.of(0, 65535, 9, 1)],
  ['int16', Int16Array.of(-32768, 32767, -1, 0)],
  ['int32', Int32Array.of(-(2 ** 31), 2 ** 31 - 1, -1, 0)],
  ['int64', BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, -1n, 0n)],
  ['string', ['', 'ü', '🌱', 'plain']],
  ['bool', Uint8Array.of(1, 0, 0, 1)],
  ['float16', Uint16Array.of(0x3c00, 0x7c00, 0x8000, 0)],
  ['float64', Float64Array.of(Math.PI, -0, 1e300, 5e-324)],
  ['uint32', Uint32Array.of(0, 2 ** 32 - 1, 7, 1)],
  ['uint64', BigUint64Array.of(0n, 2n ** 64n - 1n, 7n, 1n)],
  ['bfloat16', Uint16Array.of(0x3f80, 0x7f80, 0x8000, 0)],
  ['float8e4m3fn', Uint8Array.of(0x7e, 0x80, 0x7f, 0)],
  ['float8e4m3fnuz', Uint8Array.of(0x7f, 0x80, 1, 0)],
  ['float8e5m2', Uint8Array.of(0x7c, 0x80, 0xff, 0)],
  ['float8e5m2fnuz', Uint8Array.of(0x7f, 0x80, 1, 0)],
  ['uint4', Uint8Array.of(0xf0, 0x21)],
  ['int4', Uint8Array.of(0x8f, 0x21)],
  ['float4e2m1', Uint8Array.of(0x7f, 0x21)],
  ['float8e8m0', Uint8Array.of(0, 255, 127, 1)],
];

/** A body that reads `x` from around it, with an output of unknown shape and a weight of its own. */
function branch(op: string): Graph {
  const builder = new GraphBuilder(`branch ${op}`);
  const own = builder.initializer('own', {
    dtype: 'float32',
    dims: [1],
    data: Float32Array.of(2),
  });
  const sum = builder.node('Add', ['x', own]);
  builder.node(op, [sum], {}, { outputs: ['result'] });
  const outputs: Graph['outputs'] = [
    { name: 'result', dtype: 'float32', dims: [], open: op === 'Neg' ? 'type' : 'shape' },
  ];
  const opsets = new Map([
    ['', 23],
    ['com.microsoft', 1],
  ]);
  return { ...builder.build(), outputs, opsets, docString: 'A body.' };
}

/** Every element type, every kind of attribute, omitted inputs, symbolic and unnamed lengths. */
export function everything(): Graph {
  const builder = new GraphBuilder('everything');
  builder.input('x', 'float32', ['batch', '?1', 4]);
  builder.input('scalar', 'int64', []);
  for (const [dtype, data] of SAMPLES) {
    builder.initializer(`all.${dtype}`, { dtype, dims: [2, 2], data });
  }
  builder.initializer('empty', { dtype: 'float32', dims: [0, 3], data: new Float32Array() });
  const [first = ''] = builder.nodes(
    'Clip',
    ['x', '', 'all.float32'],
    1,
    {
      int: attr.int(-3),
      end: attr.int(2 ** 63),
      begin: attr.int(-(2 ** 63)),
      float: attr.float(0.5),
      zero: attr.int(0),
      nothing: attr.float(0),
      text: attr.string('ä"'),
      blank: attr.string(''),
      ints: attr.ints([0, -1, 2 ** 40, 300]),
      none: attr.ints([]),
      floats: attr.floats([0.25, -Infinity]),
      strings: attr.strings(['a', '', 'c']),
      tensor: attr.tensor({ dtype: 'int64', dims: [2], data: BigInt64Array.of(5n, -6n) }),
    },
    { domain: 'com.microsoft' },
  );
  builder.nodes('Split', [first, 'scalar'], 2, {}, { outputs: ['left', ''] });
  builder.nodes(
    'If',
    ['all.bool'],
    1,
    { then_branch: attr.graph(branch('Neg')), else_branch: attr.graph(branch('Abs')) },
    { outputs: ['either'] },
  );
  builder.node(
    'Several',
    ['x'],
    {
      graphs: { type: 'graphs', value: [branch('Neg')] },
      tensors: {
        type: 'tensors',
        value: [{ dtype: 'int4', dims: [3], data: Uint8Array.of(0x21, 0x0f) }],
      },
    },
    { domain: 'com.microsoft' },
  );
  builder.output('left', 'float32', ['batch', 2, 'time']);
  builder.metadata('', 'empty key');
  builder.metadata('mask:x', '{"ratio":0.5}');
  const graph = builder.build();
  return {
    ...graph,
    docString: 'What it is.',
    valueInfo: new Map([[first, { dtype: 'float32', dims: ['batch', 7, 4] }]]),
  };
}
