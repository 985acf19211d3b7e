// The infer worker's API as ordinary code, on onnxruntime-node.
import { describe, expect, it } from 'vitest';
import { sha256Hex } from '../../../src/core/hash';
import { PhiloxStream } from '../../../src/core/philox';
import { neutralised, writeCsv } from '../../../src/core/csv-write';
import { createInferApi } from '../../../src/inference/api';
import type { Graph } from '../../../src/onnx/graph';
import { writeModel } from '../../../src/onnx/writer';
import type { PredictionTable, Progress, RawPart } from '../../../src/protocol/api';
import type { ChunkRef } from '../../../src/protocol/entities';
import { digitsCnn, digitsRecipe, pictures, tableMlp, tableRecipe, tableRows } from './models';
import { nodeRuntime } from './node-runtime';

const chunks = new Map<string, ArrayBuffer>();
let loads = 0;
const api = createInferApi({
  runtime: nodeRuntime,
  loadChunk(ref) {
    loads++;
    const bytes = chunks.get(ref.sha256);
    return bytes ? Promise.resolve(bytes) : Promise.reject(new Error('No such chunk.'));
  },
  writeCsv,
  loadPageTemplate: () => Promise.resolve('<a>__TERRARIUM_PAGE_DATA__</a>'),
});
const quiet = () => undefined;

async function stored(bytes: ArrayBuffer): Promise<ChunkRef> {
  const sha256 = await sha256Hex(bytes);
  chunks.set(sha256, bytes);
  return { sha256, storageKey: sha256, bytes: bytes.byteLength };
}
const storedGraph = (graph: Graph) => stored(writeModel(graph).buffer);

/** Rows labelled by the model itself, with every tenth label wrong. */
async function labelled(model: ChunkRef, inputs: RawPart['inputs'], classes: number) {
  const { values, rows } = await api.predict(model, inputs);
  const truth = Float64Array.from({ length: rows }, (_, row) => {
    const scores = [...values.subarray(row * classes, (row + 1) * classes)];
    const best = scores.indexOf(Math.max(...scores));
    return row % 10 === 0 ? (best + 1) % classes : best;
  });
  return { inputs, truth, rows: Uint32Array.from(truth, (_, row) => row + 1000) };
}

describe('predict and evaluate', () => {
  it('answers in batches as it does at once, and keeps the session', async () => {
    const model = await storedGraph(tableMlp());
    const inputs = tableRows(600);
    const before = loads;
    const all = await api.predict(model, inputs);
    const one = await api.predict(model, tableRows(1));
    expect(all.rows).toBe(600);
    expect(all.values.length).toBe(1800);
    expect([...all.values.subarray(0, 3)]).toEqual([...one.values]);
    expect(loads - before).toBe(1);
  });

  it('reports what the labels say, with progress', async () => {
    const model = await storedGraph(tableMlp());
    const part = await labelled(model, tableRows(500), 3);
    const heard: Progress[] = [];
    const { report, latency, predictions } = await api.evaluate(
      'e1',
      {
        model,
        task: 'classification',
        classes: ['Adelie', 'Chinstrap', 'Gentoo'],
        part,
        measureLatency: false,
        seed: 1,
      },
      (progress) => heard.push(progress),
    );
    expect(report.task === 'classification' && report.accuracy.value).toBe(0.9);
    expect(predictions[0]?.row).toBe(1000);
    expect(latency.medianMs).toBeGreaterThan(0);
    expect(latency.p95Ms).toBeGreaterThanOrEqual(latency.medianMs);
    expect(latency.rowsPerSecond).toBeGreaterThan(100);
    expect(heard).toContainEqual({
      label: 'Asking the model',
      done: 500,
      total: 500,
      unit: 'rows',
    });
  });

  it('turns raw scores of a foreign model into probabilities', async () => {
    const graph = tableMlp();
    const outputs = graph.outputs.filter(({ name }) => name === 'logits');
    const whole = await api.predict(await storedGraph(graph), tableRows(50));
    const raw = await api.predict(await storedGraph({ ...graph, outputs }), tableRows(50));
    for (const [index, value] of whole.values.entries())
      expect(Math.abs(value - (raw.values[index] ?? NaN))).toBeLessThan(1e-6);
  });

  it('evaluates a regression in its own unit', async () => {
    const model = await storedGraph(tableMlp(16, true));
    const inputs = tableRows(100);
    const { values } = await api.predict(model, inputs);
    const truth = Float64Array.from(values, (value, row) => value + (row % 2 === 0 ? 10 : -10));
    const { report } = await api.evaluate(
      'e2',
      {
        model,
        task: 'regression',
        classes: [],
        part: { inputs, truth, rows: Uint32Array.from(truth, (_, row) => row) },
        measureLatency: false,
        seed: 1,
      },
      quiet,
    );
    expect(report.task === 'regression' && report.mae.value).toBeCloseTo(10, 6);
  });

  it('stops when cancelled', async () => {
    const model = await storedGraph(digitsCnn());
    const part = await labelled(model, pictures(1024), 10);
    const request = {
      model,
      task: 'classification' as const,
      classes: digitsRecipe.target.task === 'classification' ? digitsRecipe.target.classes : [],
      part,
      measureLatency: true,
      seed: 1,
    };
    const work = api.evaluate('e3', request, () => api.cancel('e3'));
    await expect(work).rejects.toMatchObject({ code: 'call/cancelled' });
    api.cancel('e3');
  });

  it('refuses no rows and other classes', async () => {
    const model = await storedGraph(tableMlp());
    const none = { inputs: tableRows(0), truth: new Float64Array(), rows: new Uint32Array() };
    const request = { model, task: 'classification' as const, measureLatency: false, seed: 1 };
    await expect(
      api.evaluate('e4', { ...request, classes: ['a', 'b', 'c'], part: none }, quiet),
    ).rejects.toMatchObject({ code: 'evaluate/no-rows' });
    const part = await labelled(model, tableRows(20), 3);
    await expect(
      api.evaluate('e5', { ...request, classes: ['a', 'b'], part }, quiet),
    ).rejects.toMatchObject({ code: 'model/classes' });
  });
});

describe('importance', () => {
  it('ranks the raw columns, numeric and categorical', async () => {
    const model = await storedGraph(tableMlp());
    const part = await labelled(model, tableRows(400), 3);
    const report = await api.importance('i1', model, tableRecipe, part, 7, quiet);
    expect(report.baseline).toBeCloseTo(0.9, 9);
    expect(report.features.map(({ column }) => column).sort()).toEqual([
      'island',
      'length',
      'mass',
    ]);
    expect(report.features[0]?.drop.low).toBeGreaterThan(0);
    for (const { drop } of report.features) expect(drop.low).toBeLessThanOrEqual(drop.high);
    await expect(api.importance('i2', model, digitsRecipe, part, 7, quiet)).rejects.toMatchObject({
      code: 'importance/images',
    });
  });
});

describe('quantise', () => {
  it.each(['int8-dynamic', 'int8-static'] as const)('%s loses next to nothing', async (mode) => {
    const model = await storedGraph(digitsCnn());
    const part = await labelled(model, pictures(300), 10);
    const heard: Progress[] = [];
    const { model: bytes, notes } = await api.quantise('q', model, mode, part, (progress) =>
      heard.push(progress),
    );
    expect(bytes.byteLength / model.bytes).toBeLessThan(0.35);
    expect(notes.length).toBeGreaterThan(0);
    expect(heard.length).toBeGreaterThan(0);
    const request = {
      task: 'classification' as const,
      classes: digitsRecipe.target.task === 'classification' ? digitsRecipe.target.classes : [],
      part,
      measureLatency: false,
      seed: 1,
    };
    const float = await api.evaluate('a', { ...request, model }, quiet);
    const small = await api.evaluate('b', { ...request, model: await stored(bytes) }, quiet);
    const compared = await api.compare(float.predictions, small.predictions, 'classification');
    expect(compared.rows).toBe(300);
    expect(Math.abs(compared.loss.value)).toBeLessThan(0.03);
  });

  it('says so where the file does not shrink', async () => {
    const model = await storedGraph(tableMlp(2));
    const { model: bytes, notes } = await api.quantise('q', model, 'int8-dynamic', null, quiet);
    expect(bytes.byteLength).toBeGreaterThan(model.bytes);
    expect(notes[0]).toMatch(/The file grew from \d+ to \d+ bytes/);
  });

  it('says that static int8 needs rows', async () => {
    const model = await storedGraph(digitsCnn());
    await expect(api.quantise('q', model, 'int8-static', null, quiet)).rejects.toMatchObject({
      code: 'compress/no-calibration',
    });
  });
});

describe('inspectModel', () => {
  it('says what a model is', async () => {
    const graph = tableMlp();
    const inspected = await api.inspectModel(writeModel(graph).buffer);
    expect(inspected.problems).toEqual([]);
    expect(inspected.recipe).toEqual(tableRecipe);
    expect(inspected.signature).toMatchObject({
      task: 'classification',
      classes: ['Adelie', 'Chinstrap', 'Gentoo'],
      inputs: [
        { name: 'numeric', dtype: 'float32', dims: ['batch', 2] },
        { name: 'categorical', dtype: 'int64', dims: ['batch', 1] },
      ],
    });
    expect(inspected.operators).toContainEqual({ op: 'Gemm', count: 2 });
    expect(inspected.graphHash).toMatch(/^[0-9a-f]{64}$/);
  });

  it('names the problem of an operator that the runtime lacks', async () => {
    const graph = tableMlp();
    const nodes = graph.nodes.map((node) =>
      node.op === 'Softmax' ? { ...node, op: 'NoSuchOperator' } : node,
    );
    const { problems } = await api.inspectModel(writeModel({ ...graph, nodes }).buffer);
    expect(problems.join(' ')).toContain('NoSuchOperator');
  });

  it('refuses hostile bytes with a typed error', async () => {
    const whole = writeModel(tableMlp());
    const stream = new PhiloxStream(8, 'hostile');
    await expect(api.inspectModel(new ArrayBuffer(0))).rejects.toMatchObject({ name: 'AppError' });
    await expect(api.inspectModel(new Uint8Array(500).fill(255).buffer)).rejects.toMatchObject({
      name: 'AppError',
    });
    for (let round = 0; round < 150; round++) {
      const bytes = whole.slice(0, round % 3 === 0 ? stream.below(whole.length) : whole.length);
      for (let hit = 0; hit < 4 && bytes.length > 0; hit++)
        bytes[stream.below(bytes.length)] = stream.below(256);
      const outcome = await api.inspectModel(bytes.buffer).catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome.name).toBe('AppError');
    }
  });

  it('does not believe metadata that is no recipe', async () => {
    const graph = tableMlp();
    const metadata = new Map([['terrarium.recipe', '{"format":1,"input":{"type":"table"}}']]);
    const { recipe } = await api.inspectModel(writeModel({ ...graph, metadata }).buffer);
    expect(recipe).toBeNull();
  });
});

describe('predictTable', () => {
  const table: PredictionTable = {
    inputs: tableRows(3),
    rows: Uint32Array.of(0, 1, 2),
    header: ['name', 'prediction'],
    cells: [['=HYPERLINK("x")', '1'], ['b;c', '-2'], ['c']],
    delimiter: ';',
    findings: [],
  };

  it('adds columns, keeps order, and neutralises formula cells', async () => {
    const model = await storedGraph(tableMlp());
    const bytes = await api.predictTable('t', model, tableRecipe, table, quiet);
    const lines = new TextDecoder().decode(bytes).trimEnd().split('\r\n');
    expect(lines[0]).toBe(
      'name;prediction;prediction 2;confidence;probability Adelie;probability Chinstrap;probability Gentoo',
    );
    expect(lines).toHaveLength(4);
    expect(lines[1]).toMatch(/^"'=HYPERLINK\(""x""\)";1;(Adelie|Chinstrap|Gentoo);[\d.]+;/);
    expect(lines[2]).toMatch(/^"b;c";-2;/);
    expect(lines[3]).toMatch(/^c;;/);
    const { values } = await api.predict(model, table.inputs);
    for (const row of [0, 1, 2]) {
      const cells = (lines[row + 1] ?? '').split(';').slice(-3).map(Number);
      for (const [index, cell] of cells.entries())
        expect(Math.abs(cell - (values[row * 3 + index] ?? NaN))).toBeLessThan(1e-6);
    }
    expect(neutralised('=1+1')).toBe("'=1+1");
  });
});

describe('exportPage', () => {
  it('puts labels where they cannot run', async () => {
    const model = await storedGraph(tableMlp());
    const hostile = { ...tableRecipe, target: { ...tableRecipe.target, column: '</script><b>' } };
    const bytes = await api.exportPage(model, {
      id: 'v',
      format: 1,
      projectId: 'p',
      number: 1,
      name: '<img src=x>',
      stage: 'draft',
      createdAt: 0,
      kind: 'float32',
      runId: null,
      parentId: null,
      datasetId: null,
      graphHash: '',
      file: model,
      signature: { task: 'classification', classes: [], inputs: [], outputs: [] },
      recipe: hostile,
      weights: 0,
      trashedAt: null,
    });
    const text = new TextDecoder().decode(bytes);
    expect(text.match(/</g)).toHaveLength(2);
    const data = JSON.parse(text.slice(3, -4)) as { name: string; model: string };
    expect(data.name).toBe('<img src=x>');
    expect(Buffer.from(data.model, 'base64').equals(Buffer.from(writeModel(tableMlp())))).toBe(
      true,
    );
  });
});
