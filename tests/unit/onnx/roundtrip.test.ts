import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import type { Attribute, Graph } from '../../../src/onnx/graph';
import { graphHash } from '../../../src/onnx/hash';
import { readModel } from '../../../src/onnx/reader';
import { WireReader, WireWriter } from '../../../src/onnx/wire';
import { writeModel } from '../../../src/onnx/writer';
import { everything, tinyLogits, tinyMlp } from './graphs';

const withOpset = (graph: Graph, opset: number): Graph => ({
  ...graph,
  opsets: new Map([...graph.opsets, ['', opset]]),
});

/** The model-level opset of ai.onnx and the IR version, read by hand. */
function versions(file: Uint8Array): [ir: number, opset: number] {
  let ir = 0;
  let opset = 0;
  const reader = new WireReader(file, 'model');
  while (reader.next()) {
    if (reader.field === 1) ir = reader.int();
    else if (reader.field === 8) {
      const entry = reader.message('opset');
      let domain = '';
      let version = 0;
      while (entry.next()) {
        if (entry.field === 1) domain = entry.string();
        else version = entry.int();
      }
      if (domain === '') opset = version;
    } else reader.skip();
  }
  return [ir, opset];
}

describe('write, then read', () => {
  it('gives the same graph, with every dtype and attribute', () => {
    const graph = everything();
    const again = readModel(writeModel(graph));
    expect(again).toEqual(graph);
    expect(readModel(writeModel(again))).toEqual(again);
  });

  it('gives the same bytes and the same hash', async () => {
    for (const graph of [tinyMlp(), everything()]) {
      const file = writeModel(graph);
      const again = readModel(file);
      expect(writeModel(again)).toEqual(file);
      expect(await graphHash(again)).toBe(await graphHash(graph));
    }
  });

  it('reads weights as views wherever the alignment allows', () => {
    const file = writeModel(tinyMlp());
    let views = 0;
    // Behind 0 to 3 strange bytes each weight is aligned at least once.
    for (let shift = 0; shift < 4; shift++) {
      const shifted = new Uint8Array(file.length + shift).subarray(shift);
      shifted.set(file);
      const graph = readModel(shifted);
      expect(graph.initializers).toEqual(tinyMlp().initializers);
      for (const { data } of graph.initializers.values()) {
        if (!Array.isArray(data) && data.buffer === shifted.buffer) views++;
      }
    }
    expect(views).toBe(3);
  });

  it('reads typed data fields, packed or not', () => {
    const tensor = (name: string, code: number, fill: (writer: WireWriter) => void): WireWriter => {
      const writer = new WireWriter().int(1, 3).int(2, code).string(8, name);
      fill(writer);
      return writer;
    };
    const graph = new WireWriter()
      .string(2, 'typed')
      .message(
        5,
        tensor('f', 1, (w) => w.floats(4, [1, -2, 0.5])),
      )
      .message(
        5,
        tensor('u', 1, (w) => w.float(4, 1).float(4, -2).float(4, 0.5)),
      )
      .message(
        5,
        tensor('i8', 3, (w) => w.ints(5, [-128, 127, -1])),
      )
      .message(
        5,
        tensor('i64', 7, (w) => w.int(7, -5).ints(7, [2 ** 40, 1])),
      )
      .message(
        5,
        tensor('d', 11, (w) => w.bytes(10, new Uint8Array(Float64Array.of(1e300, 2, 3).buffer))),
      )
      .message(
        5,
        tensor('u32', 12, (w) => w.ints(11, [2 ** 32 - 1, 0, 1])),
      );
    const file = new WireWriter()
      .int(1, 8)
      .message(7, graph)
      .message(8, new WireWriter().int(2, 17))
      .finish();
    const read = readModel(file).initializers;
    expect(read.get('f')?.data).toEqual(Float32Array.of(1, -2, 0.5));
    expect(read.get('u')?.data).toEqual(Float32Array.of(1, -2, 0.5));
    expect(read.get('i8')?.data).toEqual(Int8Array.of(-128, 127, -1));
    expect(read.get('i64')?.data).toEqual(BigInt64Array.of(-5n, 2n ** 40n, 1n));
    expect(read.get('d')?.data).toEqual(Float64Array.of(1e300, 2, 3));
    expect(read.get('u32')?.data).toEqual(Uint32Array.of(2 ** 32 - 1, 0, 1));
  });

  it('names nodes that have no name and drops weights from the inputs', () => {
    const node = (name: string, input: string, output: string): WireWriter =>
      new WireWriter().string(1, input).string(2, output).optionalString(3, name).string(4, 'Relu');
    const info = (name: string): WireWriter =>
      new WireWriter()
        .string(1, name)
        .message(
          2,
          new WireWriter().message(1, new WireWriter().int(1, 1).bytes(2, new Uint8Array())),
        );
    const graph = new WireWriter()
      .message(1, node('', 'x', 'a'))
      .message(1, node('same', 'a', 'b'))
      .message(1, node('same', 'w', 'y'))
      .message(5, new WireWriter().int(2, 1).string(8, 'w').floats(4, [1]))
      .message(11, info('x'))
      .message(11, info('w'))
      .message(12, info('y'));
    const file = new WireWriter()
      .int(1, 3)
      .message(7, graph)
      .message(8, new WireWriter().int(2, 9))
      .finish();
    const read = readModel(file);
    expect(read.nodes.map((n) => n.name)).toEqual(['Relu_0', 'same', 'same_0']);
    expect(read.inputs.map((input) => input.name)).toEqual(['x']);
  });
});

describe('opset and IR version', () => {
  const oneNode = (
    op: string,
    inputs: number,
    attributes: Record<string, Attribute>,
    domain = '',
  ): Graph => {
    const builder = new GraphBuilder('one');
    const names = Array.from({ length: inputs }, (_, i) => builder.input(`x${i}`, 'float32', [1]));
    builder.output(builder.node(op, names, attributes, { domain }), 'float32', [1]);
    return builder.build();
  };

  it.each<[string, number, Record<string, Attribute>, number, number]>([
    ['Relu', 1, {}, 8, 17],
    ['ReduceMean', 1, {}, 8, 17],
    ['ReduceMean', 2, {}, 8, 18],
    ['ReduceSum', 2, { noop_with_empty_axes: attr.int(1) }, 8, 17],
    ['Pad', 4, {}, 8, 18],
    ['Pad', 2, { mode: attr.string('wrap') }, 9, 19],
    ['AveragePool', 1, { dilations: attr.ints([1, 1]) }, 9, 19],
    ['Gelu', 1, {}, 9, 20],
    ['QuantizeLinear', 2, { output_dtype: attr.int(3) }, 10, 21],
    ['RMSNormalization', 2, {}, 11, 23],
  ])('%s with %i inputs and %j', (op, inputs, attributes, ir, opset) => {
    expect(versions(writeModel(oneNode(op, inputs, attributes)))).toEqual([ir, opset]);
  });

  it('keeps an opset that the graph was read in', () => {
    expect(versions(writeModel(withOpset(oneNode('Relu', 1, {}), 13)))).toEqual([7, 13]);
    expect(versions(writeModel(oneNode('Relu', 1, {}), { opset: 'as-is' }))).toEqual([11, 23]);
  });

  it('keeps training operators out of files', () => {
    const graph = oneNode('DropoutTrain', 2, {}, TRAINING_DOMAIN);
    expect(() => writeModel(graph)).toThrow(/only while a model learns/);
    expect(readModel(writeModel(graph, { allowTraining: true })).nodes).toEqual(graph.nodes);
  });
});

describe('onnxruntime', () => {
  it.each(['lowest', 'as-is'] as const)('runs what we wrote: %s', async (opset) => {
    const session = await InferenceSession.create(writeModel(tinyMlp(), { opset }));
    const features = [0.5, -1, 2, 1, 1, -3];
    const result = await session.run({
      features: new OrtTensor('float32', Float32Array.from(features), [2, 3]),
    });
    const logits = [...tinyLogits(features.slice(0, 3)), ...tinyLogits(features.slice(3))];
    expect(result['logits']?.dims).toEqual([2, 2]);
    [...(result['logits']?.data as Float32Array)].forEach((value, i) => {
      expect(value).toBeCloseTo(logits[i] ?? NaN, 6);
    });
    const [p0 = NaN, p1 = NaN] = result['probabilities']?.data as Float32Array;
    const [l0 = NaN, l1 = NaN] = logits;
    expect(p0 + p1).toBeCloseTo(1, 6);
    expect(Math.log(p0 / p1)).toBeCloseTo(l0 - l1, 5);
  });

  it('runs com.microsoft operators beside ours', async () => {
    const builder = new GraphBuilder('ms');
    builder.input('x', 'float32', ['batch', 2]);
    const y = builder.node(
      'QuickGelu',
      ['x'],
      { alpha: attr.float(1.702) },
      { domain: 'com.microsoft' },
    );
    builder.output(y, 'float32', ['batch', 2]);
    const session = await InferenceSession.create(writeModel(builder.build()));
    const result = await session.run({
      x: new OrtTensor('float32', Float32Array.of(1, -1), [1, 2]),
    });
    const [a] = result[y]?.data as Float32Array;
    expect(a).toBeCloseTo(1 / (1 + Math.exp(-1.702)), 5);
  });
});
