import { describe, expect, it } from 'vitest';
import { packTensors, unpackTensors } from '../../../src/training/checkpoint';

const specs = [
  { name: 'w', dims: [2, 2] },
  { name: 'w/m', dims: [2, 2] },
  { name: 'b', dims: [] },
];
const tensors = new Map([
  ['b', Float32Array.of(9)],
  ['w', Float32Array.of(1, 2, 3, NaN)],
  ['w/m', Float32Array.of(5, 6, 7, -0)],
]);

describe('packed State', () => {
  it('keeps every bit, in the order of the specs', () => {
    const packed = packTensors(specs, tensors);
    expect([...new Float32Array(packed)]).toEqual([1, 2, 3, NaN, 5, 6, 7, -0, 9]);
    expect(unpackTensors(specs, packed)).toEqual(
      new Map([
        ['w', tensors.get('w')],
        ['w/m', tensors.get('w/m')],
        ['b', tensors.get('b')],
      ]),
    );
  });

  it('names the tensor that is missing or of another size', () => {
    expect(() => packTensors(specs, new Map([['w', Float32Array.of(1)]]))).toThrow(/"w".* 1 /);
    expect(() => unpackTensors(specs, new ArrayBuffer(4 * 8))).toThrow(/"b"/);
    expect(() => unpackTensors(specs, new ArrayBuffer(4 * 10))).toThrow(/the end/);
  });
});
