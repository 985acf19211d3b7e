/** Indexing, moving, ordering, recurrent layers, attention and written-out loops: the graphics processor's kernels. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sizeOf } from '../../../src/core/dtype';
import { normals } from '../../../src/core/philox';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Attribute, Graph, Tensor } from '../../../src/onnx/graph';
import { inferShapes, staticType } from '../../../src/ops/infer-shapes';
import { distance } from './support';

type Input =
  | { readonly fed: readonly number[]; readonly values?: readonly number[] }
  | { readonly places: readonly number[]; readonly dims: readonly number[] }
  | {
      readonly known: readonly number[];
      readonly dims: readonly number[];
      readonly dtype: 'int64' | 'bool' | 'float32';
    }
  | null;

interface Case {
  readonly op: string;
  readonly inputs: readonly Input[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly outputs?: number;
}

const x = (...dims: number[]): Input => ({ fed: dims });
const exact = (dims: number[], values: number[]): Input => ({ fed: dims, values });
/** Indices that come with the step: int32 on the device as int64 is. */
const at = (dims: number[], places: number[]): Input => ({ places, dims });
const ints = (...known: number[]): Input => ({ known, dims: [known.length], dtype: 'int64' });
const scalar = (value: number): Input => ({ known: [value], dims: [], dtype: 'int64' });
const flags = (dims: number[], known: number[]): Input => ({ known, dims, dtype: 'bool' });
const axis = (value: number) => ({ axis: attr.int(value) });

const ofReductions = (op: string, inputs: readonly Input[], attributes = {}): Case[] =>
  ['none', 'add', 'mul', 'max', 'min'].map((reduction) => ({
    op,
    inputs,
    attributes: { ...attributes, reduction: attr.string(reduction) },
  }));

const INDEXING: readonly Case[] = [
  { op: 'Gather', inputs: [x(2, 4, 3), at([2, 2], [0, -1, 3, -4])], attributes: axis(1) },
  {
    op: 'GatherElements',
    inputs: [x(3, 4), at([2, 3], [0, -1, 1, 2, 2, -3])],
    attributes: axis(1),
  },
  { op: 'GatherElements', inputs: [x(3, 4), at([2, 2], [0, -1, 2, 1])], attributes: axis(0) },
  { op: 'GatherND', inputs: [x(2, 3, 4), at([3, 2], [0, 0, 1, -1, -1, 2])] },
  {
    op: 'GatherND',
    inputs: [x(2, 3, 4), at([2, 2, 1], [0, -1, 2, 1])],
    attributes: { batch_dims: attr.int(1) },
  },
  ...ofReductions('ScatterElements', [x(3, 4), at([2, 3], [0, 1, 2, -3, 0, -2]), x(2, 3)]),
  ...ofReductions('ScatterElements', [x(3, 4), at([3, 2], [0, -1, 3, 3, 1, 2]), x(3, 2)], axis(1)),
  ...ofReductions('ScatterND', [x(4, 3), at([5, 1], [0, 2, -4, 2, 0]), x(5, 3)]),
  ...ofReductions('ScatterND', [x(3, 2, 2), at([2, 2], [0, 1, -1, -2]), x(2, 2)]),
  {
    op: 'OneHot',
    inputs: [at([2, 2], [0, -1, 2, 9]), ints(3), exact([2], [-1, 2])],
    attributes: axis(0),
  },
  { op: 'TopK', inputs: [x(3, 7, 2), ints(4)], attributes: axis(1), outputs: 2 },
  {
    op: 'TopK',
    inputs: [exact([2, 6], [1, 3, 3, -1, 0, -0, 2, 2, 2, -5, 7, 7]), ints(6)],
    attributes: { largest: attr.int(0) },
    outputs: 2,
  },
  ...[0, 1].flatMap((exclusive) =>
    [0, 1].map((reverse): Case => ({
      op: 'CumSum',
      inputs: [x(2, 5, 3), scalar(1)],
      attributes: { exclusive: attr.int(exclusive), reverse: attr.int(reverse) },
    })),
  ),
  ...[-2, 0, 3].flatMap((k) =>
    [0, 1].map((upper): Case => ({
      op: 'Trilu',
      inputs: [x(2, 3, 4), scalar(k)],
      attributes: { upper: attr.int(upper) },
    })),
  ),
  { op: 'Trilu', inputs: [x(3, 3)] },
  {
    op: 'ReverseSequence',
    inputs: [x(4, 3, 2), at([3], [1, 4, 2])],
    attributes: { time_axis: attr.int(0), batch_axis: attr.int(1) },
  },
  { op: 'Compress', inputs: [x(4, 3), flags([4], [1, 0, 0, 1])], attributes: axis(0) },
];

const MOVING: readonly Case[] = [
  ...['constant', 'reflect', 'edge', 'wrap'].flatMap((mode): Case[] => [
    { op: 'Pad', inputs: [x(4, 3), ints(1, 2, 3, 0)], attributes: { mode: attr.string(mode) } },
    {
      op: 'Pad',
      inputs: [x(4, 3), ints(-1, 2), null, ints(-2)],
      attributes: { mode: attr.string(mode) },
    },
  ]),
  { op: 'Pad', inputs: [x(2, 3), ints(0, 1, 1, -1), exact([], [1.5])] },
  { op: 'Tile', inputs: [x(2, 1, 3), ints(2, 3, 1)] },
  { op: 'Expand', inputs: [x(3, 1), ints(2, 1, 4)] },
  {
    op: 'Slice',
    inputs: [x(5, 6), ints(-1, 1), ints(-(2 ** 63), 2 ** 62), ints(0, -1), ints(-2, 3)],
  },
  {
    op: 'Split',
    inputs: [x(2, 7)],
    attributes: { ...axis(-1), num_outputs: attr.int(3) },
    outputs: 3,
  },
  { op: 'Concat', inputs: [x(2, 2), x(2, 0), x(2, 1)], attributes: axis(-1) },
  { op: 'Concat', inputs: [x(2, 2)], attributes: axis(0) },
  { op: 'Transpose', inputs: [x(2, 3, 1, 4)], attributes: { perm: attr.ints([3, 0, 2, 1]) } },
  { op: 'Dropout', inputs: [x(2, 3)], outputs: 2 },
];

const heads = { q_num_heads: attr.int(4), kv_num_heads: attr.int(2) };
const bidirectional = { hidden_size: attr.int(3), direction: attr.string('bidirectional') };

const COMPOSITES: readonly Case[] = [
  {
    op: 'RNN',
    inputs: [x(3, 2, 2), x(1, 3, 2), x(1, 3, 3)],
    attributes: { hidden_size: attr.int(3), direction: attr.string('reverse') },
    outputs: 2,
  },
  ...[0, 1].map((before): Case => ({
    op: 'GRU',
    inputs: [x(4, 2, 2), x(2, 9, 2), x(2, 9, 3), x(2, 18), at([2], [2, 4]), x(2, 2, 3)],
    attributes: { ...bidirectional, linear_before_reset: attr.int(before) },
    outputs: 2,
  })),
  {
    op: 'LSTM',
    inputs: [
      x(4, 2, 2),
      x(2, 12, 2),
      x(2, 12, 3),
      x(2, 24),
      at([2], [3, 4]),
      x(2, 2, 3),
      x(2, 2, 3),
      x(2, 9),
    ],
    attributes: { ...bidirectional, clip: attr.float(1) },
    outputs: 3,
  },
  { op: 'LSTM', inputs: [x(3, 2, 2), x(1, 12, 2), x(1, 12, 3)], outputs: 3 },
  { op: 'Attention', inputs: [x(2, 3, 8), x(2, 5, 4), x(2, 5, 6)], attributes: heads, outputs: 4 },
  {
    op: 'Attention',
    inputs: [x(2, 4, 3, 2), x(2, 2, 3, 2), x(2, 2, 3, 2), x(3, 5), x(2, 2, 2, 2), x(2, 2, 2, 2)],
    attributes: { is_causal: attr.int(1), softcap: attr.float(2) },
    outputs: 4,
  },
  {
    op: 'Attention',
    inputs: [
      x(1, 1, 2, 2),
      x(1, 1, 3, 2),
      x(1, 1, 3, 2),
      exact([2, 3], [-Infinity, -Infinity, -Infinity, 0, 1, -Infinity]),
    ],
    attributes: { qk_matmul_output_mode: attr.int(2) },
    outputs: 4,
  },
  {
    op: 'Attention',
    inputs: [x(1, 2, 2, 2), x(1, 2, 3, 2), x(1, 2, 3, 2), flags([2, 3], [0, 0, 0, 1, 0, 1])],
    attributes: { qk_matmul_output_mode: attr.int(3) },
    outputs: 4,
  },
  ...[0, 1].map((interleaved): Case => ({
    op: 'RotaryEmbedding',
    inputs: [x(2, 3, 12), x(5, 2), x(5, 2), at([2, 3], [0, 1, 2, 4, 3, 2])],
    attributes: {
      num_heads: attr.int(2),
      rotary_embedding_dim: attr.int(4),
      interleaved: attr.int(interleaved),
    },
  })),
  { op: 'RotaryEmbedding', inputs: [x(2, 2, 3, 4), x(2, 3, 2), x(2, 3, 2)] },
];

interface Built {
  readonly graph: Graph;
  readonly feeds: Map<string, Float32Array | Int32Array>;
  readonly tensors: Map<string, Tensor>;
}

function build({ op, inputs, attributes = {}, outputs = 1 }: Case): Built {
  const builder = new GraphBuilder(op);
  const feeds: Built['feeds'] = new Map();
  const tensors: Built['tensors'] = new Map();
  const names = inputs.map((input, index): string => {
    const name = `in${index}`;
    if (input === null) return '';
    if ('known' in input) return builder.constant(input.dtype, input.dims, input.known);
    if ('places' in input) {
      const data = Int32Array.from(input.places);
      feeds.set(name, data);
      tensors.set(name, { dtype: 'int32', dims: input.dims, data });
      return builder.input(name, 'int32', input.dims);
    }
    const { fed: dims, values } = input;
    const data = values ? Float32Array.from(values) : normals(sizeOf(dims), 1, 5, `${op}${index}`);
    feeds.set(name, data);
    tensors.set(name, { dtype: 'float32', dims, data });
    return builder.input(name, 'float32', dims);
  });
  const results = builder.nodes(op, names, outputs, attributes);
  const types = inferShapes(builder.build());
  for (const name of results) {
    const { dtype, dims } = staticType(types, name);
    builder.output(name, dtype, dims);
  }
  return { graph: builder.build(), feeds, tensors };
}

let executor: WebgpuExecutor;
beforeAll(async () => {
  executor = await createWebgpuExecutor();
});
afterAll(() => executor.dispose());

async function runTwice(graph: Graph, feeds: Built['feeds']) {
  const state = await executor.createState([]);
  const outputs = graph.outputs.map(({ name }) => name);
  const program = await executor.compile(graph, state, { updates: new Map(), outputs });
  const first = await program.step(feeds).read();
  const held = executor.memory.buffers;
  const second = await program.step(feeds).read();
  expect(executor.memory.buffers, 'tensors that stay').toBe(held);
  program.dispose();
  state.dispose();
  return { first, second };
}

async function expectAsReference({ graph, feeds, tensors }: Built): Promise<void> {
  const expected = runGraph(graph, tensors);
  const { first, second } = await runTwice(graph, feeds);
  for (const { name } of graph.outputs) {
    const want = Array.from(expected.get(name)?.data ?? []);
    const got = Array.from(first.get(name) ?? []);
    const odd = (values: number[]) => values.map((v) => (Number.isFinite(v) ? 0 : String(v)));
    expect(odd(got), name).toEqual(odd(want));
    const finite = (values: number[]) => values.map((v) => (Number.isFinite(v) ? v : 0));
    expect(distance(finite(got), finite(want)), name).toBeLessThan(2e-5);
    // Same numbers again: no sum depends on the order in which threads come.
    expect(second.get(name), name).toEqual(first.get(name));
  }
}

const titled = (cases: readonly Case[]) =>
  cases.map((each, i) => [`${i} ${each.op}`, each] as const);

describe('on webgpu as on the reference', () => {
  it.each(titled(INDEXING))('%s', (_, each) => expectAsReference(build(each)));
  it.each(titled(MOVING))('%s', (_, each) => expectAsReference(build(each)));
  it.each(titled(COMPOSITES))('%s', (_, each) => expectAsReference(build(each)));

  it('Loop with a fixed number of rounds', async () => {
    const body = new GraphBuilder('body');
    const i = body.input('i', 'int64', []);
    const going = body.input('going', 'bool', []);
    const carried = body.input('carried', 'float32', [3]);
    const next = body.node(
      'Add',
      [carried, body.node('Cast', [i], { to: attr.int(1) })],
      {},
      { outputs: ['next'] },
    );
    body.output(body.node('Identity', [going], {}, { outputs: ['on'] }), 'bool', []);
    body.output(next, 'float32', [3]);
    body.output(body.node('Mul', [next, 'factor'], {}, { outputs: ['scaled'] }), 'float32', [3]);
    const builder = new GraphBuilder('loop');
    const data = Float32Array.of(1, 2, 3);
    const start = builder.input('start', 'float32', [3]);
    // Made outside, and renamed by an expansion of its own on the way.
    builder.node(
      'LSTM',
      [
        builder.node('Reshape', [start, builder.ints([1, 1, 3])]),
        builder.initializer('w', {
          dtype: 'float32',
          dims: [1, 12, 3],
          data: normals(36, 1, 1, 'w'),
        }),
        builder.initializer('r', {
          dtype: 'float32',
          dims: [1, 12, 3],
          data: normals(36, 1, 1, 'r'),
        }),
      ],
      {},
      { outputs: ['lstm'] },
    );
    builder.node('Reshape', ['lstm', builder.ints([3])], {}, { outputs: ['factor'] });
    const rounds = builder.constant('int64', [], [4]);
    const [last = '', all = ''] = builder.nodes('Loop', [rounds, '', start], 2, {
      body: attr.graph(body.build()),
    });
    builder.output(last, 'float32', [3]);
    builder.output(all, 'float32', [4, 3]);
    await expectAsReference({
      graph: builder.build(),
      feeds: new Map([['start', data]]),
      tensors: new Map([['start', { dtype: 'float32', dims: [3], data }]]),
    });
  });
});

describe('what cannot run there says why', () => {
  it.each<[string, Case]>([['is of the operator NonZero', { op: 'NonZero', inputs: [x(2, 2)] }]])(
    '%s',
    async (_, { op, inputs }) => {
      const builder = new GraphBuilder(op);
      const names = inputs.map((_, index) => builder.input(`in${index}`, 'float32', [2, 2]));
      builder.output(builder.node(op, names), 'int64', [2, 'found']);
      const state = await executor.createState([]);
      const outputs = builder.build().outputs.map(({ name }) => name);
      await expect(
        executor.compile(builder.build(), state, { updates: new Map(), outputs }),
      ).rejects.toThrow(op);
      state.dispose();
    },
  );
});
