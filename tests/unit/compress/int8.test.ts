// int8 copies against their float model on onnxruntime-node: answers, sizes, and what must stay untouched.
import { describe, expect, it } from 'vitest';
import { calibrate, probe } from '../../../src/compress/calibrate';
import { foldBatchNorm } from '../../../src/compress/fold-batch-norm';
import { quantiseDynamic } from '../../../src/compress/int8-dynamic';
import { planStatic, quantiseStatic } from '../../../src/compress/int8-static';
import { RangeObserver, affine } from '../../../src/compress/ranges';
import { quantiseWeight } from '../../../src/compress/weights';
import { normals } from '../../../src/core/philox';
import type { ModelInput } from '../../../src/inference/runtime';
import { checkGraph } from '../../../src/onnx/check';
import type { Graph } from '../../../src/onnx/graph';
import { readModel } from '../../../src/onnx/reader';
import { writeModel } from '../../../src/onnx/writer';
import { digitsCnn, pictures, tableMlp, tableRows } from '../inference/models';
import { nodeRuntime } from '../inference/node-runtime';

const runtime = nodeRuntime();

async function run(graph: Graph, inputs: readonly ModelInput[], output: string) {
  const session = await runtime.open(writeModel(graph));
  const results = await session.run(inputs, [output]);
  await session.release();
  return results.get(output)?.data ?? new Float32Array();
}

async function toStatic(graph: Graph, inputs: readonly ModelInput[]) {
  const plan = planStatic(graph);
  const probed = probe(plan.graph, plan.probes);
  const session = await runtime.open(writeModel(probed.graph));
  async function* once() {
    const results = await session.run(inputs, [...probed.probes.keys()]);
    yield new Map([...results].map(([name, { data }]) => [name, data]));
  }
  return quantiseStatic(plan, await calibrate(probed, once()));
}

/** ||a - b|| / ||b - mean b||: the share of the answer that is error. */
function relativeError(a: Float32Array, b: Float32Array): number {
  const mean = b.reduce((sum, value) => sum + value, 0) / b.length;
  let error = 0;
  let signal = 0;
  for (const [index, value] of b.entries()) {
    error += ((a[index] ?? 0) - value) ** 2;
    signal += (value - mean) ** 2;
  }
  return Math.sqrt(error / signal);
}

describe('weights', () => {
  it('are within half a step of the float weight, channel by channel', () => {
    const weight = Float32Array.of(1, -0.5, 0.25, 0.001, -0.002, 0.0015);
    const { values, scales } = quantiseWeight(weight, [2, 3], 0);
    expect([...scales]).toEqual([Math.fround(1 / 127), Math.fround(0.002 / 127)]);
    for (const [index, value] of weight.entries()) {
      const scale = scales[index < 3 ? 0 : 1] ?? 0;
      expect(Math.abs((values[index] ?? 0) * scale - value)).toBeLessThanOrEqual(scale * 0.5001);
    }
    const columns = quantiseWeight(weight, [3, 2], 1);
    expect(columns.scales.length).toBe(2);
    expect(columns.values[0]).toBe(127);
  });

  it('do not divide by zero in an empty channel', () => {
    const { values, scales } = quantiseWeight(new Float32Array(4), [2, 2], 0);
    expect([...values]).toEqual([0, 0, 0, 0]);
    expect([...scales]).toEqual([1, 1]);
  });
});

describe('ranges', () => {
  it('give an exact zero and cover the values', () => {
    for (const range of [
      { min: 0, max: 6 },
      { min: -3, max: 1 },
      { min: -2, max: 0 },
      { min: 0, max: 0 },
    ]) {
      const { scale, zeroPoint } = affine(range);
      expect(Number.isInteger(zeroPoint)).toBe(true);
      expect((127 - zeroPoint) * scale).toBeGreaterThanOrEqual(range.max - scale);
      expect((-128 - zeroPoint) * scale).toBeLessThanOrEqual(range.min + scale);
    }
  });

  it('clip a long tail, at the end where it lies', () => {
    const observer = new RangeObserver();
    const wild = normals(40_000, 1, 1, 'tail').map((value) => (value > 0 ? value ** 3 : value));
    observer.observe(wild.map((value) => Math.max(-1, value)));
    const { min, max } = observer.range();
    expect(max).toBeGreaterThan(15);
    expect(max).toBeLessThan(0.8 * wild.reduce((most, value) => Math.max(most, value), 0));
    expect(min).toBeCloseTo(-1, 1);
  });

  it('ignore values that are not numbers', () => {
    const observer = new RangeObserver();
    observer.observe(Float32Array.of(NaN, Infinity, -1, 1));
    expect(observer.range().max).toBeLessThanOrEqual(1);
  });
});

describe('folding batch normalisation', () => {
  it('leaves the answer as it was', async () => {
    const graph = digitsCnn();
    const { graph: folded, count } = foldBatchNorm(graph);
    expect(count).toBe(3);
    expect(folded.nodes.some(({ op }) => op === 'BatchNormalization')).toBe(false);
    const inputs = pictures(8);
    const error = relativeError(
      await run(folded, inputs, 'logits'),
      await run(graph, inputs, 'logits'),
    );
    expect(error).toBeLessThan(1e-5);
  });
});

const cases = [
  { name: 'CNN with global pool', graph: digitsCnn(), inputs: pictures(64) },
  { name: 'CNN with flatten', graph: digitsCnn([8, 16], false), inputs: pictures(64) },
  { name: 'table MLP', graph: tableMlp(), inputs: tableRows(64) },
];

describe.each(cases)('$name', ({ graph, inputs }) => {
  it('answers nearly the same as static int8, and keeps recipe and metadata', async () => {
    const { graph: quantised, notes } = await toStatic(graph, inputs);
    checkGraph(quantised);
    const error = relativeError(
      await run(quantised, inputs, 'logits'),
      await run(graph, inputs, 'logits'),
    );
    expect(error).toBeLessThan(0.06);
    expect(notes[0]).toMatch(/layers hold int8 weights/);
    expect(quantised.metadata).toEqual(graph.metadata);
    expectRecipeUntouched(graph, quantised);
  });

  it('answers nearly the same as dynamic int8', async () => {
    const { graph: quantised } = quantiseDynamic(graph);
    checkGraph(quantised);
    const error = relativeError(
      await run(quantised, inputs, 'logits'),
      await run(graph, inputs, 'logits'),
    );
    expect(error).toBeLessThan(0.05);
    expect(quantised.metadata).toEqual(graph.metadata);
    expectRecipeUntouched(graph, quantised);
  });
});

function expectRecipeUntouched(before: Graph, after: Graph): void {
  const recipe = (graph: Graph) => {
    const end = graph.nodes.findIndex(({ outputs }) => outputs.includes('features'));
    return graph.nodes.slice(0, end + 1);
  };
  expect(recipe(after)).toEqual(recipe(before));
}

describe('sizes', () => {
  it('static int8 of the digits CNN is at most 35 % of the float file', async () => {
    const graph = digitsCnn([16, 32, 64]);
    const float = writeModel(graph).byteLength;
    const { graph: quantised } = await toStatic(graph, pictures(16));
    const bytes = writeModel(quantised).byteLength;
    expect(bytes / float).toBeLessThan(0.35);
    expect(writeModel(quantiseDynamic(graph).graph).byteLength / float).toBeLessThan(0.35);
    // The file reads back as the same graph.
    expect(readModel(writeModel(quantised)).nodes.length).toBe(quantised.nodes.length);
  });
});

describe('what cannot be quantised', () => {
  it('says so when there are no weights at all', () => {
    const graph = digitsCnn();
    const bare = { ...graph, nodes: graph.nodes.filter(({ op }) => op === 'Cast'), outputs: [] };
    expect(() => quantiseDynamic(bare)).toThrow(
      expect.objectContaining({ code: 'compress/nothing-to-quantise' }),
    );
    expect(() => planStatic(bare)).toThrow(
      expect.objectContaining({ code: 'compress/nothing-to-quantise' }),
    );
  });

  it('leaves a small layer in float and says why', () => {
    const { graph, notes } = quantiseDynamic(tableMlp());
    expect(notes.join(' ')).toMatch(/Left in float: Gemm_1 \(192 weights/);
    expect(graph.nodes.filter(({ op }) => op === 'MatMulInteger')).toHaveLength(1);
    expect(graph.nodes.filter(({ op }) => op === 'Gemm')).toHaveLength(1);
  });

  it('still quantises a model that only has small layers', () => {
    const { graph } = quantiseDynamic(tableMlp(8));
    expect(graph.nodes.filter(({ op }) => op === 'MatMulInteger')).toHaveLength(2);
  });
});
