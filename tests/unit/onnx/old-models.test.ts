/** Models of old opsets are read, brought to ours, and compute what onnxruntime computed from the file. */
import { readdirSync, readFileSync } from 'node:fs';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import type { NumericDType } from '../../../src/core/dtype';
import { encodeNumbers } from '../../../src/core/number-format';
import { runGraph } from '../../../src/engine/reference/run-graph';
import type { Graph, Tensor } from '../../../src/onnx/graph';
import { INTERNAL_OPSET } from '../../../src/onnx/graph';
import { readModel } from '../../../src/onnx/reader';
import { writeModel } from '../../../src/onnx/writer';
import { allNodes } from '../../../src/ops/capabilities';

const FOLDER = 'tests/fixtures/onnx/old';

interface Plain {
  readonly dtype: NumericDType;
  readonly dims: readonly number[];
  readonly data: readonly number[];
}
interface Case {
  readonly inputs: Readonly<Record<string, Plain>>;
  readonly outputs: Readonly<Record<string, Plain>>;
}

const golden = JSON.parse(readFileSync(`${FOLDER}.json`, 'utf8')) as Record<string, Case>;

function load(name: string): Graph {
  return readModel(readFileSync(`${FOLDER}/${name}.onnx`));
}

function tensors(values: Readonly<Record<string, Plain>>): Map<string, Tensor> {
  return new Map(
    Object.entries(values).map(([name, { dtype, dims, data }]) => [
      name,
      { dtype, dims, data: encodeNumbers(dtype, data) },
    ]),
  );
}

function expectClose(found: ArrayLike<number | bigint>, expected: readonly number[]): void {
  expect(found.length).toBe(expected.length);
  expected.forEach((value, index) => {
    expect(Number(found[index])).toBeCloseTo(value, 4);
  });
}

describe('old models', () => {
  it('are all in the list', () => {
    const files = readdirSync(FOLDER).map((file) => file.replace('.onnx', ''));
    expect(files.sort()).toEqual(Object.keys(golden).sort());
  });

  it.each(Object.keys(golden))('%s on the reference interpreter', (name) => {
    const graph = load(name);
    expect(graph.opsets.get('')).toBe(INTERNAL_OPSET);
    const expected = golden[name];
    const results = runGraph(graph, tensors(expected?.inputs ?? {}));
    for (const [output, { dims, data }] of Object.entries(expected?.outputs ?? {})) {
      expect(results.get(output)?.dims).toEqual(dims);
      expectClose(results.get(output)?.data ?? [], data);
    }
  });

  // Swish is written out, so its file runs as well, where onnxruntime did not know the one it came from.
  it.each(Object.keys(golden))('%s is written so that onnxruntime runs it', async (name) => {
    const graph = load(name);
    const file = writeModel(graph);
    expect(readModel(file)).toEqual(graph);
    const session = await InferenceSession.create(file, { logSeverityLevel: 4 });
    const expected = golden[name];
    const feeds = Object.fromEntries(
      [...tensors(expected?.inputs ?? {})].map(([key, { dtype, dims, data }]) => [
        key,
        new OrtTensor(dtype as 'float32', data as Float32Array, dims),
      ]),
    );
    const results = await session.run(feeds);
    for (const [output, { data }] of Object.entries(expected?.outputs ?? {})) {
      expectClose(results[output]?.data as Float32Array, data);
    }
  });

  it('have no attribute left that became an input', () => {
    for (const name of Object.keys(golden)) {
      for (const node of allNodes(load(name))) {
        const gone = [
          'axes',
          'starts',
          'split',
          'pads',
          'scales',
          'k',
          'ratio',
          'min',
          'value_float',
        ];
        expect(
          gone.filter((key) => node.attributes.has(key)),
          `${name}: ${node.op}`,
        ).toEqual([]);
        expect(['Upsample', 'Scatter', 'Swish']).not.toContain(node.op);
      }
    }
  });

  it('give a classifier head as a person knows it, without a detour for its softmax', () => {
    expect(load('gemm-7').nodes.map(({ op }) => op)).toEqual(['Gemm', 'Softmax']);
  });
});
