import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { readModel, readModelFile } from '../../../src/onnx/reader';
import type { ExternalFiles } from '../../../src/onnx/external';
import { io, model, node, w } from './proto';

const bytes = new Uint8Array(Float32Array.of(9, 9, 1, 2, 3, 4).buffer);

function file(entries: Readonly<Record<string, string>>): Uint8Array {
  const tensor = w().int(1, 4).int(2, 1).string(8, 'w').int(14, 1);
  for (const [key, value] of Object.entries(entries)) {
    tensor.message(13, w().string(1, key).string(2, value));
  }
  return model(
    io()
      .message(5, tensor)
      .message(1, node('Add', ['x', 'w'], ['y'])),
  );
}

function refusal(entries: Readonly<Record<string, string>>, external: ExternalFiles): AppError {
  try {
    readModel(file(entries), { external });
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('The file was accepted.');
}

const place = { location: './weights/w.bin', offset: '8', length: '16' };
const files = (name: string): ExternalFiles => new Map([[name, bytes]]);

describe('external data', () => {
  it.each(['weights/w.bin', './weights\\w.bin', 'model/weights/w.bin'])(
    'is found as %s, and not copied',
    (name) => {
      const { graph, origin } = readModelFile(file(place), { external: files(name) });
      const data = graph.initializers.get('w')?.data;
      expect(data).toEqual(Float32Array.of(1, 2, 3, 4));
      expect(!Array.isArray(data) && data?.buffer).toBe(bytes.buffer);
      expect(origin.cost).toEqual({ copied: 0, moved: 0 });
    },
  );

  it('may leave out offset and length', () => {
    const read = readModel(file({ location: 'a' }), { external: files('a') });
    expect(read.initializers.get('w')?.data).toEqual(Float32Array.of(9, 9, 1, 2));
  });

  it('that did not come along is named with its tensor', () => {
    const error = refusal(place, new Map());
    expect(error.code).toBe('onnx/external-data');
    expect(error.message).toMatch(/"w" keeps its numbers in the file "weights\/w.bin"/);
    expect(error.data).toMatchObject({ tensor: 'w', file: 'weights/w.bin', found: [] });
  });

  it('of two files that could be meant is not guessed', () => {
    const two = new Map([
      ['a/weights/w.bin', bytes],
      ['b/weights/w.bin', bytes],
    ]);
    expect(refusal(place, two).data).toMatchObject({ file: 'weights/w.bin' });
  });

  it.each(['../w.bin', '/etc/passwd', 'a/../../b', 'C:\\w.bin', '', 'a//b', 'w\0.bin'])(
    'does not lead out of the folder: %j',
    (location) => {
      const error = refusal({ ...place, location }, files(location));
      expect(error.code).toBe('onnx/external-data');
      expect(error.message).toMatch(/not a path beside the model/);
    },
  );

  it.each([
    [{ offset: '12' }, /only 24/],
    [{ length: '15' }, /needs 16 bytes, but the model says that it has 15/],
    [{ offset: '-4' }, /"-4" as offset/],
    [{ offset: '1e3' }, /"1e3" as offset/],
    [{ offset: '99999999999999999999' }, /as offset/],
  ])('is checked: %j', (change, says) => {
    expect(refusal({ ...place, ...change }, files('weights/w.bin')).message).toMatch(says);
  });

  it('at an odd place is copied, so that the file stays whole', () => {
    const odd = new Uint8Array(bytes.length + 1);
    odd.set(bytes, 1);
    const external = new Map([['weights/w.bin', odd]]);
    const { graph, origin } = readModelFile(file({ ...place, offset: '9' }), {
      ...{ external, consume: true },
    });
    expect(graph.initializers.get('w')?.data).toEqual(Float32Array.of(1, 2, 3, 4));
    expect(origin.cost).toEqual({ copied: 16, moved: 0 });
    expect(odd.subarray(1)).toEqual(bytes);
  });
});
