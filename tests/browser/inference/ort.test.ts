// The shipped runtime in a real browser: float and int8 models give what the interpreter gives.
import { describe, expect, it } from 'vitest';
import { quantiseDynamic } from '../../../src/compress/int8-dynamic';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { createInferApi } from '../../../src/inference/api';
import { createOrtRuntime } from '../../../src/inference/ort';
import type { ModelInput } from '../../../src/inference/runtime';
import { sha256Hex } from '../../../src/core/hash';
import type { Graph } from '../../../src/onnx/graph';
import { writeModel } from '../../../src/onnx/writer';
import { readModel } from '../../../src/onnx/reader';
import {
  digitsCnn,
  digitsRecipe,
  pictures,
  tableMlp,
  tableRows,
} from '../../unit/inference/models';

const chunks = new Map<string, ArrayBuffer>();
const api = createInferApi({
  runtime: createOrtRuntime,
  loadChunk: (ref) => {
    const bytes = chunks.get(ref.sha256);
    return bytes ? Promise.resolve(bytes) : Promise.reject(new Error('No such chunk.'));
  },
  writeCsv: () => '',
  loadPageTemplate: () => Promise.resolve(''),
});

async function stored(bytes: ArrayBuffer) {
  const sha256 = await sha256Hex(bytes);
  chunks.set(sha256, bytes);
  return { sha256, storageKey: sha256, bytes: bytes.byteLength };
}
const storedGraph = (graph: Graph) => stored(writeModel(graph).buffer);

function byReference(graph: Graph, inputs: readonly ModelInput[]): Float64Array {
  const feeds = new Map(inputs.map((input) => [input.name, input]));
  return runGraph(graph, feeds).get('probabilities')?.data ?? new Float64Array();
}

function largestDifference(a: Float32Array, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - (b[index] ?? NaN))), 0);
}

const quiet = () => undefined;
const cases = [
  { name: 'CNN', graph: digitsCnn([8, 16]), inputs: pictures(8), classes: 10 },
  { name: 'MLP', graph: tableMlp(), inputs: tableRows(32), classes: 3 },
];

describe.each(cases)('$name on onnxruntime-web', ({ graph, inputs, classes }) => {
  it('answers as the interpreter does', async () => {
    const { values } = await api.predict(await storedGraph(graph), inputs);
    expect(largestDifference(values, byReference(graph, inputs))).toBeLessThan(1e-4);
  });

  it('runs the int8-dynamic copy, integer for integer', async () => {
    const { graph: small } = quantiseDynamic(graph);
    const { values } = await api.predict(await storedGraph(small), inputs);
    expect(largestDifference(values, byReference(small, inputs))).toBeLessThan(2e-3);
    expect(largestDifference(values, byReference(graph, inputs))).toBeLessThan(0.05);
  });

  it('calibrates and runs the int8-static copy', async () => {
    const model = await storedGraph(graph);
    const rows = inputs[0]?.dims[0] ?? 0;
    const part = { inputs, truth: new Float64Array(rows), rows: new Uint32Array(rows) };
    const { model: bytes } = await api.quantise('q', model, 'int8-static', part, quiet);
    const small = readModel(new Uint8Array(bytes));
    const { values } = await api.predict(await stored(bytes), inputs);
    expect(values.length).toBe(rows * classes);
    // Fused integer kernels round once where the interpreter's float path rounds twice.
    expect(largestDifference(values, byReference(small, inputs))).toBeLessThan(0.03);
    expect(largestDifference(values, byReference(graph, inputs))).toBeLessThan(0.08);
  });
});

describe('the digits CNN', () => {
  it('is evaluated with a latency of this browser', async () => {
    const graph = digitsCnn();
    const inputs = pictures(64);
    const model = await storedGraph(graph);
    const { latency, report } = await api.evaluate(
      'e',
      {
        model,
        task: 'classification',
        classes: digitsRecipe.target.task === 'classification' ? digitsRecipe.target.classes : [],
        part: {
          inputs,
          truth: new Float64Array(64),
          rows: Uint32Array.from({ length: 64 }, (_, row) => row),
        },
        measureLatency: true,
        seed: 1,
      },
      quiet,
    );
    expect(report.task).toBe('classification');
    expect(latency.provider).toContain('WASM');
    expect(latency.medianMs).toBeGreaterThan(0);
    const small = await api.quantise(
      'q',
      model,
      'int8-static',
      { inputs, truth: new Float64Array(64), rows: new Uint32Array(64) },
      quiet,
    );
    expect(small.model.byteLength / model.bytes).toBeLessThan(0.35);
    console.info(
      `digits CNN here: ${latency.medianMs.toFixed(2)} ms a picture, ${Math.round(latency.rowsPerSecond)} a second, int8 ${Math.round((small.model.byteLength / model.bytes) * 100)} % of ${model.bytes} bytes`,
    );
  });

  it('says what is wrong with a broken file', async () => {
    await expect(api.inspectModel(new Uint8Array(64).fill(7).buffer)).rejects.toMatchObject({
      name: 'AppError',
    });
    const graph = tableMlp();
    const nodes = graph.nodes.map((node) =>
      node.op === 'Softmax' ? { ...node, op: 'NoSuchOperator' } : node,
    );
    const { problems } = await api.inspectModel(writeModel({ ...graph, nodes }).buffer);
    expect(problems.join(' ')).toContain('NoSuchOperator');
  });
});
