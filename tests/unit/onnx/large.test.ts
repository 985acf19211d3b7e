/** What opening a file costs: bytes copied and moved, and that the answer is right either way. */
import { describe, expect, it } from 'vitest';
import type { NumericDType } from '../../../src/core/dtype';
import { GraphBuilder } from '../../../src/onnx/builder';
import type { Graph } from '../../../src/onnx/graph';
import { readModelFile } from '../../../src/onnx/reader';
import { writeModel } from '../../../src/onnx/writer';

/** Weights of several widths whose names have every length from 1 to 16, so that they begin anywhere. */
function heavy(): Graph {
  const builder = new GraphBuilder('heavy');
  const kinds: NumericDType[] = ['float32', 'float16', 'float64', 'int64', 'int8', 'bfloat16'];
  for (let index = 0; index < 96; index++) {
    const dtype = kinds[index % kinds.length] ?? 'float32';
    const name = `${String(index).padStart(3, '0')}${'w'.repeat(index % 16)}`;
    const bytes = new Uint8Array(8 * (256 + 16 * index)).map((_, i) => (i * 31 + index) % 251);
    const data =
      dtype === 'float32'
        ? new Float32Array(bytes.buffer)
        : dtype === 'float64'
          ? new Float64Array(bytes.buffer)
          : dtype === 'int64'
            ? new BigInt64Array(bytes.buffer)
            : dtype === 'int8'
              ? new Int8Array(bytes.buffer)
              : new Uint16Array(bytes.buffer);
    builder.initializer(name, { dtype, dims: [data.length], data });
  }
  return builder.build();
}

/** As bits, so that one NaN is not every NaN. */
function bits(graph: Graph): Map<string, string> {
  return new Map(
    [...graph.initializers].map(([name, { data }]) => {
      if (Array.isArray(data)) throw new Error('no text here');
      return [name, Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex')];
    }),
  );
}

describe('opening a large file', () => {
  const expected = bits(heavy());

  it('copies nothing when the bytes are given away: weights move a little within them', () => {
    for (let shift = 0; shift < 8; shift++) {
      const file = writeModel(heavy());
      const bytes = new Uint8Array(file.length + shift).subarray(shift);
      bytes.set(file);
      const { graph, origin } = readModelFile(bytes, { consume: true });
      expect(bits(graph)).toEqual(expected);
      expect(origin.cost.copied).toBe(0);
      expect(origin.cost.moved).toBeGreaterThan(0);
      for (const { data } of graph.initializers.values()) {
        expect(!Array.isArray(data) && data.buffer).toBe(bytes.buffer);
      }
    }
  });

  it('leaves the bytes alone otherwise, and copies only what begins at an odd place', () => {
    const file = writeModel(heavy());
    const before = file.slice();
    const { graph, origin } = readModelFile(file);
    expect(bits(graph)).toEqual(expected);
    expect(Buffer.compare(file, before)).toBe(0);
    let own = 0;
    for (const { data } of graph.initializers.values()) {
      if (!Array.isArray(data) && data.buffer !== file.buffer) own += data.byteLength;
    }
    expect(origin.cost).toEqual({ copied: own, moved: 0 });
    expect(own).toBeLessThan(file.length);
  });
});
