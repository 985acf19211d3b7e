/** Whatever graph is written is read back the same; and what runs here gives the same in onnxruntime. */
import fc from 'fast-check';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { BYTES_PER_ELEMENT, DTYPE_CODE, sizeOf, storedLength } from '../../../src/core/dtype';
import type { DType, NumericDType } from '../../../src/core/dtype';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Attribute, Dim, Graph, Node, Tensor, ValueInfo } from '../../../src/onnx/graph';
import { graphHash } from '../../../src/onnx/hash';
import { readModel } from '../../../src/onnx/reader';
import { viewOf } from '../../../src/onnx/tensor-wire';
import { writeModel } from '../../../src/onnx/writer';

const dtypes = fc.constantFrom(...(Object.keys(DTYPE_CODE) as DType[]));
const text = fc.string({ unit: 'grapheme', maxLength: 6 });
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 });

function bytesFor(dtype: NumericDType, size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(storedLength(dtype, size) * BYTES_PER_ELEMENT[dtype]);
  return bytes.map((_, index) => (index * 37 + seed * 101) & 255);
}

const tensor: fc.Arbitrary<Tensor> = fc
  .tuple(
    dtypes,
    fc.array(fc.nat(4), { maxLength: 3 }),
    fc.nat(255),
    fc.array(text, { maxLength: 70 }),
  )
  .map(([dtype, dims, seed, texts]): Tensor => {
    const size = sizeOf(dims);
    return dtype === 'string'
      ? { dtype, dims, data: Array.from({ length: size }, (_, index) => texts[index] ?? '') }
      : { dtype, dims, data: viewOf(dtype, bytesFor(dtype, size, seed)) };
  });

const dim: fc.Arbitrary<Dim> = fc.oneof(fc.nat(9), fc.constantFrom('batch', 'time', '2*n + 1'));
const type = fc.record({ dtype: dtypes, dims: fc.array(dim, { maxLength: 3 }) });
const wide = fc.oneof(
  fc.maxSafeInteger(),
  fc.constantFrom(2 ** 63, -(2 ** 63), 0, -1, 2 ** 31, Number.MAX_SAFE_INTEGER),
);

const plainAttribute: fc.Arbitrary<Attribute> = fc.oneof(
  wide.map(attr.int),
  fc.float().map(attr.float),
  text.map(attr.string),
  tensor.map(attr.tensor),
  fc.array(wide, { maxLength: 4 }).map(attr.ints),
  fc.array(fc.float(), { maxLength: 4 }).map(attr.floats),
  fc.array(text, { maxLength: 4 }).map(attr.strings),
  fc.array(tensor, { maxLength: 2 }).map((value): Attribute => ({ type: 'tensors', value })),
);

const OPSETS: ReadonlyMap<string, number> = new Map([
  ['', 23],
  ['org.example', 3],
]);

/** Nodes read what stands before them, in bodies also what stands around. */
function graphs(depth: number): fc.Arbitrary<Graph> {
  const attribute =
    depth === 0
      ? plainAttribute
      : fc.oneof(
          { weight: 4, arbitrary: plainAttribute },
          { weight: 1, arbitrary: graphs(depth - 1).map(attr.graph) },
          {
            weight: 1,
            arbitrary: fc
              .array(graphs(depth - 1), { maxLength: 2 })
              .map((value): Attribute => ({ type: 'graphs', value })),
          },
        );
  const node = fc.record({
    op: fc.constantFrom('First', 'Second', 'Third'),
    domain: fc.constantFrom('org.example'),
    reads: fc.array(fc.nat(), { maxLength: 3 }),
    makes: fc.integer({ min: 1, max: 3 }),
    skips: fc.boolean(),
    attributes: fc.uniqueArray(fc.tuple(name, attribute), {
      maxLength: 3,
      selector: ([key]) => key,
    }),
  });
  return fc
    .record({
      names: fc.uniqueArray(name, { minLength: 40, maxLength: 40 }),
      inputs: fc.array(type, { maxLength: 2 }),
      initializers: fc.array(tensor, { maxLength: 3 }),
      nodes: fc.array(node, { maxLength: 4 }),
      inner: type,
      open: fc.constantFrom<ValueInfo['open']>(undefined, 'type', 'shape'),
      docString: text,
      metadata: fc.uniqueArray(fc.tuple(text, text), { maxLength: 2, selector: ([key]) => key }),
    })
    .map((parts): Graph => {
      const names = parts.names.map((own) => `${depth}:${own}`);
      const fresh = (): string => names.pop() ?? '';
      const known: string[] = [];
      const define = (): string => {
        const own = fresh();
        known.push(own);
        return own;
      };
      const inputs = parts.inputs.map((own): ValueInfo => ({ name: define(), ...own }));
      const initializers = new Map(parts.initializers.map((own) => [define(), own]));
      const nodes = parts.nodes.map(({ op, domain, reads, makes, skips, attributes }): Node => {
        const read = reads.map((at) => (skips ? '' : (known[at % known.length] ?? '')));
        const outputs = Array.from({ length: makes }, define);
        return {
          ...{ name: fresh(), op, domain, outputs },
          inputs: read,
          attributes: new Map(attributes),
        };
      });
      const isBody = depth < 2;
      const last = nodes.at(-1)?.outputs[0];
      const outputs =
        last === undefined ? [] : [{ name: last, ...openType(parts.inner, parts.open) }];
      const middle = nodes[0]?.outputs[0];
      return {
        name: 'random',
        opsets: OPSETS,
        ...{ inputs, outputs, nodes, initializers },
        valueInfo: new Map(middle !== undefined && middle !== last ? [[middle, parts.inner]] : []),
        metadata: new Map(isBody ? [] : parts.metadata),
        docString: parts.docString,
      };
    });
}

/** What is open is read back as the placeholder that stands for it. */
function openType(
  { dtype, dims }: Omit<ValueInfo, 'name'>,
  open: ValueInfo['open'],
): Omit<ValueInfo, 'name'> {
  if (open === 'type') return { dtype: 'float32', dims: [], open };
  return open === 'shape' ? { dtype, dims: [], open } : { dtype, dims };
}

function usesExample(graph: Graph): boolean {
  return graph.nodes.length > 0;
}

describe('random graphs', () => {
  it('are read as they were written, to the last bit', async () => {
    const property = fc.asyncProperty(graphs(2).filter(usesExample), async (graph) => {
      const file = writeModel(graph);
      const again = readModel(file);
      expect(again).toEqual(graph);
      expect(Buffer.compare(writeModel(again), file)).toBe(0);
      expect(await graphHash(again)).toBe(await graphHash(graph));
      expect(readModel(writeModel(graph, { opset: 'as-is' }), { normalise: false })).toEqual(graph);
    });
    await fc.assert(property, { numRuns: 80, seed: 11 });
  });
});

const STEPS = [
  'Relu',
  'Neg',
  'Softmax',
  'Add',
  'Mean',
  'Transpose',
  'Reshape',
  'Pad',
  'If',
  'Cast',
  'Split',
] as const;

/** A chain of nodes over a matrix of 4 by 4. */
function chain(steps: readonly (typeof STEPS)[number][]): Graph {
  const builder = new GraphBuilder('chain');
  let value = builder.input('x', 'float32', ['rows', 4]);
  steps.forEach((step, index) => {
    switch (step) {
      case 'Add': {
        const weight = {
          dtype: 'float32',
          dims: [4],
          data: Float32Array.of(1, -1, 0.5, index),
        } as const;
        value = builder.node('Add', [value, builder.initializer(`w${index}`, weight)]);
        break;
      }
      case 'Mean':
        value = builder.node('Sub', [
          value,
          builder.node('ReduceMean', [value, builder.ints([1])]),
        ]);
        break;
      case 'Transpose':
        value = builder.node('Transpose', [value], { perm: attr.ints([1, 0]) });
        break;
      case 'Reshape':
        value = builder.node('Reshape', [
          builder.node('Reshape', [value, builder.ints([2, -1])]),
          builder.ints([4, 4]),
        ]);
        break;
      case 'Pad': {
        const padded = builder.node('Pad', [value, builder.ints([1, 0]), '', builder.ints([0])]);
        const [from, to, axis] = [[1], [5], [0]].map((own) => builder.ints(own));
        value = builder.node('Slice', [padded, from ?? '', to ?? '', axis ?? '']);
        break;
      }
      case 'If': {
        const condition = builder.constant('bool', [], [index % 2]);
        value = builder.node('If', [condition], {
          then_branch: attr.graph(body('Neg', value, index)),
          else_branch: attr.graph(body('Abs', value, index)),
        });
        break;
      }
      case 'Cast':
        value = builder.node(
          'Cast',
          [builder.node('Cast', [value], { to: attr.int(DTYPE_CODE.bfloat16) })],
          { to: attr.int(DTYPE_CODE.float32) },
        );
        break;
      case 'Split': {
        const [left = '', right = ''] = builder.nodes('Split', [value, builder.ints([1, 3])], 2, {
          axis: attr.int(1),
        });
        value = builder.node('Concat', [right, left], { axis: attr.int(1) });
        break;
      }
      default:
        value = builder.node(step, [value]);
    }
  });
  builder.output(value, 'float32', ['m', 'n']);
  return builder.build();
}

function body(op: string, reads: string, index: number): Graph {
  const builder = new GraphBuilder(op);
  const made = builder.node(op, [reads], {}, { outputs: [`${op} ${index}`] });
  return { ...builder.build(), outputs: [{ name: made, dtype: 'float32', dims: [4, 4] }] };
}

it('random chains give the same here and in onnxruntime', async () => {
  const steps = fc.array(fc.constantFrom(...STEPS), { minLength: 1, maxLength: 8 });
  const x = Float32Array.from({ length: 16 }, (_, index) => Math.sin(3 * index));
  const property = fc.asyncProperty(steps, async (own) => {
    const graph = chain(own);
    const session = await InferenceSession.create(writeModel(graph), { logSeverityLevel: 4 });
    const [output] = graph.outputs;
    const feeds = { x: new OrtTensor('float32', x, [4, 4]) };
    const theirs = (await session.run(feeds))[output?.name ?? '']?.data as Float32Array;
    const feed = { dtype: 'float32', dims: [4, 4], data: x } as const;
    const ours = runGraph(readModel(writeModel(graph)), new Map([['x', feed]]));
    const { data } = ours.get(output?.name ?? '') ?? {};
    // bfloat16 rounds what differs in the last place to neighbours.
    data?.forEach((value, index) => {
      expect(Math.abs(value - (theirs[index] ?? NaN))).toBeLessThan(
        own.includes('Cast') ? 0.05 : 1e-5,
      );
    });
    expect(data?.length).toBe(16);
  });
  await fc.assert(property, { numRuns: 40, seed: 5 });
});
