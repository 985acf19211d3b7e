import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { readModel } from '../../../src/onnx/reader';
import type { WireWriter } from '../../../src/onnx/wire';
import { writeModel } from '../../../src/onnx/writer';
import { everything, tinyMlp } from './graphs';
import { info, io, model, node, opset17, w, weight } from './proto';

/** The error that reading these bytes gives, with the time it took; fails when they are taken. */
function refusal(file: Uint8Array): { error: AppError; milliseconds: number } {
  // Processor time: a busy machine does not lengthen it.
  const start = process.cpuUsage().user;
  try {
    readModel(file);
  } catch (error) {
    if (error instanceof AppError) {
      return { error, milliseconds: (process.cpuUsage().user - start) / 1000 };
    }
    throw error;
  }
  throw new Error('The hostile file was accepted.');
}

/** Graphs within attributes of nodes of graphs …, made inside out. */
function nested(depth: number): Uint8Array {
  let bytes: Uint8Array = new Uint8Array();
  for (let level = 0; level < depth; level++) {
    const attribute = w().string(1, 'then').int(20, 5).bytes(6, bytes);
    bytes = w().message(1, w().string(4, 'If').message(5, attribute)).finish();
  }
  return w().int(1, 8).bytes(7, bytes).message(8, opset17).finish();
}

const varint = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);
const join = (...parts: Uint8Array[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));

const attributeOf = (attribute: WireWriter): WireWriter =>
  io().message(1, node('Relu', ['x'], ['y']).message(5, attribute));

const CORPUS: Record<string, readonly [file: Uint8Array, code: string, says: RegExp]> = {
  'an empty file': [new Uint8Array(), 'onnx/not-onnx', /not an ONNX model/],
  'a text file': [new TextEncoder().encode('species,island\nAdelie,Biscoe\n'), 'onnx/', /./],
  'a PNG header': [varint(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a), 'onnx/', /./],
  'a length of 2 GB': [
    join(varint(0x08, 8, 0x3a), varint(0xff, 0xff, 0xff, 0xff, 0x07), new Uint8Array(20)),
    'onnx/truncated',
    /claims 2147483647 bytes/,
  ],
  'a length of 2^63': [
    join(varint(0x3a), varint(...new Array<number>(8).fill(0xff), 0x7f), new Uint8Array(20)),
    'onnx/truncated',
    /only 20 are left/,
  ],
  'a number of eleven bytes': [
    varint(0x08, ...new Array<number>(11).fill(0xff)),
    'onnx/malformed',
    /ten bytes/,
  ],
  'a group': [varint(0x08, 8, 0x3b, 0x3c), 'onnx/malformed', /wire type 3/],
  'field number 0': [varint(0x00, 0x01), 'onnx/malformed', /field number/],
  '10,000 nested graphs': [nested(10_000), 'onnx/too-deep', /If, Loop, Scan/],
  'millions of tiny nodes': [
    w().int(1, 8).bytes(7, tinyNodes(250_001)).finish(),
    'onnx/too-large',
    /500000 parts/,
  ],
  'IR version 99': [model(io(), 99), 'onnx/ir-version', /99/],
  'opset 0': [model(io(), 8, w().int(2, 0)), 'onnx/opset', /opset 0/],
  'an operator in its form of opset 6': [
    model(io().message(1, node('LSTM', ['x', 'x', 'x'], ['y'])), 8, w().int(2, 6)),
    'onnx/unsupported',
    /form of opset 6/,
  ],
  'opset 99': [model(io(), 8, w().int(2, 99)), 'onnx/opset', /opset 99/],
  'no opset': [
    w()
      .int(1, 8)
      .message(7, io().message(1, node('Relu', ['x'], ['y'])))
      .finish(),
    'onnx/no-opset',
    /imports no opset/,
  ],
  'a function without a name': [
    w().int(1, 8).message(7, io()).message(25, w()).finish(),
    'onnx/malformed',
    /function/,
  ],
  'dims that overflow': [
    model(io().message(5, weight('w', [2 ** 31, 2 ** 31, 2 ** 31], 8))),
    'onnx/dims',
    /"w"/,
  ],
  'dims beyond the data': [
    model(io().message(5, weight('w', [2 ** 30, 2 ** 20], 8))),
    'onnx/tensor-size',
    /needs 4503599627370496 bytes, but the file has 8/,
  ],
  'a negative dim': [model(io().message(5, weight('w', [-1, 4], 16))), 'onnx/dims', /-1/],
  'a negative length of an input': [model(w().message(11, info('x', 1, [-7]))), 'onnx/dims', /-7/],
  'a wrong raw size': [
    model(io().message(5, weight('w', [2, 2], 15))),
    'onnx/tensor-size',
    /needs 16 bytes, but the file has 15/,
  ],
  'a weight without data': [
    model(io().message(5, w().int(1, 4).int(2, 1).string(8, 'w'))),
    'onnx/tensor-size',
    /has 0/,
  ],
  'data in the wrong typed field': [
    model(io().message(5, w().int(1, 2).int(2, 1).string(8, 'w').ints(7, [1, 2]))),
    'onnx/tensor-size',
    /has 0/,
  ],
  'an unknown element type': [
    model(io().message(5, weight('w', [1], 4, 77))),
    'onnx/dtype',
    /element type 77/,
  ],
  'an input of unknown type': [model(w().message(11, info('x', 14))), 'onnx/dtype', /type 14/],
  'external data': [
    model(io().message(5, w().int(1, 4).int(2, 1).string(8, 'w').message(13, w()).int(14, 1))),
    'onnx/external-data',
    /not a path/,
  ],
  'a path in external data': [
    model(
      io().message(
        5,
        w().int(2, 1).message(13, w().string(1, 'location').string(2, '../../etc/passwd')),
      ),
    ),
    'onnx/external-data',
    /"..\/..\/etc\/passwd", which is not a path/,
  ],
  'two weights of one name': [
    model(
      io()
        .message(5, weight('w', [1], 4))
        .message(5, weight('w', [1], 4)),
    ),
    'onnx/duplicate-name',
    /"w"/,
  ],
  'a value made twice': [
    model(
      io()
        .message(1, node('Relu', ['x'], ['y']))
        .message(1, node('Abs', ['x'], ['y'])),
    ),
    'onnx/duplicate-name',
    /"y"/,
  ],
  'a cycle': [
    model(
      io()
        .message(1, node('Add', ['x', 'b'], ['a']))
        .message(1, node('Relu', ['a'], ['b']))
        .message(1, node('Relu', ['b'], ['y'])),
    ),
    'onnx/cycle',
    /Input 1 of node "Add:a"/,
  ],
  'a node that waits for itself': [
    model(io().message(1, node('Add', ['x', 'y'], ['y']))),
    'onnx/cycle',
    /cycle/,
  ],
  'nodes out of order': [
    model(
      io()
        .message(1, node('Relu', ['a'], ['y']))
        .message(1, node('Relu', ['x'], ['a'])),
    ),
    'onnx/order',
    /only later/,
  ],
  'an input that nothing makes': [
    model(io().message(1, node('Relu', ['ghost'], ['y']))),
    'onnx/unknown-input',
    /"ghost"/,
  ],
  'an output that nothing makes': [model(io()), 'onnx/no-output', /"y"/],
  'a node without operator': [
    model(io().message(1, w().string(2, 'y'))),
    'onnx/malformed',
    /operator/,
  ],
  'text that is not UTF-8': [
    model(io().message(1, w().string(4, 'Relu').bytes(2, varint(0xff, 0xfe)))),
    'onnx/malformed',
    /UTF-8/,
  ],
  'a sparse attribute': [
    model(attributeOf(w().string(1, 'v').int(20, 11).message(22, w()))),
    'onnx/unsupported',
    /"v"/,
  ],
  'an attribute of unknown type': [
    model(attributeOf(w().string(1, 'v').int(20, 44))),
    'onnx/unsupported',
    /type 44/,
  ],
  'an input that is a sequence': [
    model(w().message(11, w().string(1, 'x').message(2, w().message(4, w())))),
    'onnx/unsupported',
    /not a tensor/,
  ],
  'an input without rank': [
    model(
      w().message(
        11,
        w()
          .string(1, 'x')
          .message(2, w().message(1, w().int(1, 1))),
      ),
    ),
    'onnx/no-shape',
    /"x"/,
  ],
};

function tinyNodes(count: number): Uint8Array {
  const one = w().message(1, w().string(4, 'A')).finish();
  const bytes = new Uint8Array(count * one.length);
  for (let at = 0; at < bytes.length; at += one.length) bytes.set(one, at);
  return bytes;
}

describe('hostile files', () => {
  it.each(Object.keys(CORPUS))('%s', (name) => {
    const [file, code, says] = CORPUS[name] ?? [];
    const { error, milliseconds } = refusal(file ?? new Uint8Array());
    expect(error.code.startsWith(code ?? '?'), error.message).toBe(true);
    expect(error.message).toMatch(says ?? /^$/);
    expect(milliseconds).toBeLessThan(1000);
  });

  it('cut at every fiftieth is refused, each time with a reason', () => {
    for (const graph of [tinyMlp(), everything()]) {
      const file = writeModel(graph);
      for (let part = 0; part < 50; part++) {
        const { error } = refusal(file.subarray(0, Math.floor((file.length * part) / 50)));
        expect(error.code).toMatch(/^onnx\//);
      }
    }
  });

  it('with any one byte changed is taken or refused with a reason, never worse', () => {
    const file = writeModel(everything());
    for (let at = 0; at < file.length; at++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const damaged = file.slice();
        damaged[at] = (damaged[at] ?? 0) ^ flip;
        try {
          readModel(damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(AppError);
        }
      }
    }
  });
});
