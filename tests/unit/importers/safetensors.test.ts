import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { readSafetensors, writeSafetensors } from '../../../src/importers/safetensors';
import type { Tensor } from '../../../src/onnx/graph';

function file(header: unknown, data: Uint8Array = new Uint8Array(0), claimed?: number): Uint8Array {
  const text = new TextEncoder().encode(
    typeof header === 'string' ? header : JSON.stringify(header),
  );
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(claimed ?? text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

describe('safetensors', () => {
  it('reads what the format describes', () => {
    const data = new Uint8Array(new Float32Array([1, -2, 3, 4, 5, 6]).buffer);
    const read = readSafetensors(
      file(
        {
          __metadata__: { format: 'pt' },
          w: { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] },
        },
        data,
      ),
    );
    expect(read.tensors.get('w')).toEqual({
      dtype: 'float32',
      dims: [2, 3],
      data: Float32Array.of(1, -2, 3, 4, 5, 6),
    });
    expect(read.metadata.get('format')).toBe('pt');
  });

  it('comes back as it was written', () => {
    const tensor = fc.oneof(
      fc
        .float32Array({ noNaN: true, maxLength: 9 })
        .map((data): Tensor => ({ dtype: 'float32', dims: [data.length], data })),
      fc
        .uint8Array({ maxLength: 9 })
        .map((data): Tensor => ({ dtype: 'uint8', dims: [data.length], data })),
      fc
        .bigInt64Array({ maxLength: 5 })
        .map((data): Tensor => ({ dtype: 'int64', dims: [1, data.length], data })),
    );
    const names = fc.string().filter((name) => name !== '__metadata__' && name !== '__proto__');
    fc.assert(
      fc.property(
        fc.dictionary(names, tensor),
        fc.dictionary(names, fc.string()),
        (tensors, metadata) => {
          const given = {
            tensors: new Map(Object.entries(tensors)),
            metadata: new Map(Object.entries(metadata)),
          };
          const read = readSafetensors(writeSafetensors(given));
          expect(new Map([...read.tensors].sort())).toEqual(new Map([...given.tensors].sort()));
          expect(read.metadata).toEqual(given.metadata);
        },
      ),
    );
  });

  const entry = (change: object) => ({
    w: { dtype: 'F32', shape: [1], data_offsets: [0, 4], ...change },
  });
  const four = new Uint8Array(4);
  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(3), /only 3 bytes/],
    ['a header longer than the file', file({}, four, 999), /claims 999 bytes/],
    ['a header beyond all limits', file({}, four, 2 ** 40), /claims/],
    ['a header that is not JSON', file('{"w":'), /not JSON/],
    ['a header that is a list', file([]), /not an object/],
    ['an unknown type', file(entry({ dtype: 'Q4' }), four), /"w" has the type Q4/],
    ['a negative shape', file(entry({ shape: [-1] }), four), /"w" has no proper shape/],
    [
      'an impossible shape',
      file(entry({ shape: [2 ** 40, 2 ** 40] }), four),
      /"w" has no proper shape/,
    ],
    [
      'offsets that do not fit the shape',
      file(entry({ shape: [2] }), four),
      /"w" of shape \[2\] needs 8 bytes/,
    ],
    [
      'offsets outside the file',
      file(entry({ data_offsets: [4, 8] }), four),
      /offsets are 4 to 8 of 4/,
    ],
    ['bytes that belong to nothing', file(entry({}), new Uint8Array(5)), /1 bytes at its end/],
    [
      'overlapping tensors',
      file({ ...entry({}), v: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, four),
      /begins at 0 instead of 4/,
    ],
  ])('refuses %s', (_, bytes, words) => {
    expect(() => readSafetensors(bytes)).toThrow(AppError);
    expect(() => readSafetensors(bytes)).toThrow(words);
  });
});
