/**
 * A corpus of models that are wrong, each in one way, with the error that must come of it. Made by hand as bytes
 * (proto.ts), because no writer would write them.
 */
import type { WireWriter } from '../../../src/onnx/wire';
import { attribute, info, io, node, w, weight } from './proto';

export interface Wrong {
  readonly file: WireWriter;
  readonly code: string;
  readonly node?: string;
  readonly op?: string;
  readonly port?: number | string;
  readonly expected: unknown;
  readonly found: unknown;
}

export const FLOAT = 1;
const INT32 = 6;
const INT64 = 7;
const BOOL = 9;

/** A graph of inputs (name, type, lengths) and nodes, with the output y. */
export function graph(
  inputs: readonly (readonly [name: string, code: number, dims: readonly number[]])[],
  ...nodes: readonly WireWriter[]
): WireWriter {
  const writer = w().message(12, info('y'));
  for (const [name, code, dims] of inputs) writer.message(11, info(name, code, dims));
  for (const own of nodes) writer.message(1, own);
  return writer;
}

export const x = ['x', FLOAT, [2, 3]] as const;
export const z = ['z', FLOAT, [4, 5]] as const;
export const named = (op: string, inputs: readonly string[]): WireWriter => node(op, inputs, ['y']);

export const CORPUS: Readonly<Record<string, Wrong>> = {
  'an operator that nobody knows': {
    file: graph([x], named('Frobnicate', ['x'])),
    code: 'onnx/operator',
    ...{ node: 'Frobnicate:y', op: 'Frobnicate' },
    expected: 'an operator of this version',
    found: 'Frobnicate',
  },
  'too many inputs': {
    file: graph([x], named('Relu', ['x', 'x'])),
    code: 'onnx/operator',
    ...{ node: 'Relu:y', op: 'Relu', port: 'inputs', expected: '1 to 1', found: 2 },
  },
  'too few inputs': {
    file: graph([x], named('MatMul', ['x'])),
    code: 'onnx/operator',
    ...{ node: 'MatMul:y', op: 'MatMul', port: 'inputs', expected: '2 to 2', found: 1 },
  },
  'a required input left out': {
    file: graph([x], named('Add', ['x', ''])),
    code: 'onnx/shape',
    ...{ node: 'Add:y', op: 'Add', port: 'input 1', expected: 'given', found: 'missing' },
  },
  'an attribute of a wrong type': {
    file: graph([x], named('Transpose', ['x']).message(5, attribute('perm', 'abc'))),
    code: 'onnx/attribute',
    ...{ node: 'Transpose:y', op: 'Transpose', port: 'perm', expected: 'ints', found: 'string' },
  },
  'a missing attribute': {
    file: graph([x], named('Concat', ['x', 'x'])),
    code: 'onnx/attribute',
    ...{ node: 'Concat:y', op: 'Concat', port: 'axis', expected: 'int', found: null },
  },
  'an axis beyond the rank': {
    file: graph([x], named('Softmax', ['x']).message(5, attribute('axis', 5))),
    code: 'onnx/shape',
    ...{ node: 'Softmax:y', op: 'Softmax', port: 'axis', expected: 'within [-2, 1]', found: '5' },
  },
  'shapes that do not broadcast': {
    file: graph([x, z], named('Add', ['x', 'z'])),
    code: 'onnx/shape',
    ...{ node: 'Add:y', op: 'Add', port: 'the inputs' },
    expected: 'shapes that broadcast',
    found: '[2, 3] and [4, 5]',
  },
  'element types that differ': {
    file: graph([x, ['i', INT32, [2, 3]]], named('Add', ['x', 'i'])),
    code: 'onnx/type',
    ...{ node: 'Add:y', op: 'Add', port: 1, expected: 'float32', found: 'int32' },
  },
  'indices that are not whole': {
    file: graph([x, z], named('Gather', ['x', 'z'])),
    code: 'onnx/type',
    ...{ node: 'Gather:y', op: 'Gather', port: 1, expected: 'int64 or int32', found: 'float32' },
  },
  'a condition that is a number': {
    file: graph([x], named('Where', ['x', 'x', 'x'])),
    code: 'onnx/type',
    ...{ node: 'Where:y', op: 'Where', port: 0, expected: 'bool', found: 'float32' },
  },
  'a convolution of whole numbers': {
    file: graph(
      [
        ['i', INT64, [1, 1, 4, 4]],
        ['k', INT64, [1, 1, 2, 2]],
      ],
      named('Conv', ['i', 'k']),
    ),
    code: 'onnx/type',
    ...{ node: 'Conv:y', op: 'Conv', port: 0, expected: 'a floating-point type', found: 'int64' },
  },
  'a reshape that does not fit': {
    file: graph([x], named('Reshape', ['x', 's'])).message(
      5,
      w().ints(1, [2]).int(2, INT64).string(8, 's').ints(7, [4, 2]),
    ),
    code: 'onnx/shape',
    ...{ node: 'Reshape:y', op: 'Reshape', port: 'the new shape' },
    expected: '6 elements',
    found: '[4, 2]',
  },
  'a reshape to a shape of unknown rank': {
    file: graph([x], named('Reshape', ['x', 's'])).message(
      11,
      w()
        .string(1, 's')
        .message(
          2,
          w().message(
            1,
            w()
              .int(1, INT64)
              .message(2, w().message(1, w().string(2, 'n'))),
          ),
        ),
    ),
    code: 'onnx/shape',
    ...{ node: 'Reshape:y', op: 'Reshape', port: 'input 1' },
    expected: 'a known number of axes',
    found: '[n]',
  },
  'more axes than there is memory for': {
    file: graph([x, ['s', INT64, [2 ** 31]]], named('Expand', ['x', 's'])),
    code: 'onnx/shape',
    ...{ node: 'Expand:y', op: 'Expand', port: 'input 1' },
    expected: 'at most 64 long',
    found: '2147483648',
  },
  'a range beyond all memory': {
    file: graph([], named('Range', ['from', 'to', 'step']))
      .message(5, w().int(2, INT64).string(8, 'from').ints(7, [0]))
      .message(
        5,
        w()
          .int(2, INT64)
          .string(8, 'to')
          .ints(7, [2 ** 52]),
      )
      .message(5, w().int(2, INT64).string(8, 'step').ints(7, [0])),
    code: 'onnx/shape',
    ...{ node: 'Range:y', op: 'Range', port: 'input 2', expected: 'not 0', found: '0' },
  },
  'a length that stays open': {
    file: graph([], named('Relu', ['x'])).message(
      11,
      w()
        .string(1, 'x')
        .message(
          2,
          w().message(
            1,
            w()
              .int(1, FLOAT)
              .message(2, w().message(1, w().string(2, 'n'))),
          ),
        ),
    ),
    code: 'onnx/shape',
    ...{ expected: 'fixed lengths', found: '[n]' },
  },
  'an input that nothing makes': {
    file: graph([x], named('Add', ['x', 'ghost'])),
    code: 'onnx/unknown-input',
    ...{ node: 'Add:y', op: 'Add', port: 1, expected: 'a known value', found: 'ghost' },
  },
  'an input that nothing makes, in a body': {
    file: graph(
      [['c', BOOL, []]],
      named('If', ['c'])
        .message(
          5,
          attribute(
            'then_branch',
            w()
              .message(1, named('Neg', ['ghost']))
              .message(12, info('y')),
          ),
        )
        .message(
          5,
          attribute(
            'else_branch',
            w()
              .message(1, named('Neg', ['c']))
              .message(12, info('y')),
          ),
        ),
    ),
    code: 'onnx/unknown-input',
    ...{ node: 'Neg:y', op: 'Neg', port: 0, expected: 'a known value', found: 'ghost' },
  },
  'nodes that are not sorted': {
    file: graph([x], node('Relu', ['a'], ['y']), node('Relu', ['x'], ['a'])),
    code: 'onnx/order',
    ...{ node: 'Relu:y', op: 'Relu', port: 0, expected: 'a known value', found: 'a' },
  },
  'nodes that wait for one another': {
    file: graph(
      [x],
      node('Add', ['x', 'b'], ['a']),
      node('Neg', ['a'], ['b']),
      named('Neg', ['b']),
    ),
    code: 'onnx/cycle',
    ...{ node: 'Add:a', op: 'Add', port: 1, expected: 'a known value', found: 'b' },
  },
  'a value made twice': {
    file: graph([x], node('Relu', ['x'], ['y']), node('Neg', ['x'], ['y'])),
    code: 'onnx/duplicate-name',
    ...{ node: 'Neg:y', op: 'Neg', port: 0, expected: 'a name of its own', found: 'y' },
  },
  'an output that nothing makes': {
    file: graph([x], node('Relu', ['x'], ['a'])),
    code: 'onnx/no-output',
    ...{ port: 0, expected: 'y', found: null },
  },
  'an operator of a domain that is not imported': {
    file: graph([x], named('Relu', ['x']).string(7, 'com.example')),
    code: 'onnx/no-opset',
    ...{ node: 'Relu:y', op: 'Relu', expected: 'com.example', found: [''] },
  },
  'a weight that is cut off': {
    file: io().message(5, weight('w', [2, 2], 15)),
    code: 'onnx/tensor-size',
    ...{ expected: 16, found: 15 },
  },
};
