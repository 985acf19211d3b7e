// The infer worker as the page meets it: over Comlink, with a store behind a port, errors rebuilt.
import * as Comlink from 'comlink';
import { afterAll, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { sha256Hex } from '../../../src/core/hash';
import { writeModel } from '../../../src/onnx/writer';
import type { InferApi, Progress } from '../../../src/protocol/api';
import { installErrorCodec } from '../../../src/protocol/errors';
import { tableMlp, tableRecipe, tableRows } from '../../unit/inference/models';

installErrorCodec(Comlink.transferHandlers);
const worker = new Worker(new URL('../../../workers/infer.worker.ts', import.meta.url), {
  type: 'module',
});
const infer = Comlink.wrap<InferApi>(worker);
const chunks = new Map<string, ArrayBuffer>();
const { port1, port2 } = new MessageChannel();
Comlink.expose(
  {
    getChunk(ref: { sha256: string }) {
      const bytes = chunks.get(ref.sha256);
      if (bytes) return bytes;
      throw new AppError('store/missing', 'This chunk is not in the store.');
    },
  },
  port1,
);

afterAll(() => worker.terminate());

async function stored(bytes: ArrayBuffer) {
  const sha256 = await sha256Hex(bytes);
  chunks.set(sha256, bytes);
  return { sha256, storageKey: sha256, bytes: bytes.byteLength };
}

describe('the infer worker', () => {
  it('needs its store first', async () => {
    const model = await stored(writeModel(tableMlp()).buffer);
    await expect(infer.predict(model, [...tableRows(1)])).rejects.toMatchObject({
      code: 'worker/no-store',
    });
    await infer.connectStore(Comlink.transfer(port2, [port2]));
  });

  it('predicts, evaluates with progress, and writes a table', async () => {
    const model = await stored(writeModel(tableMlp()).buffer);
    const inputs = tableRows(300);
    const { values, rows } = await infer.predict(model, inputs);
    expect(rows).toBe(300);
    const truth = Float64Array.from({ length: rows }, (_, row) => {
      const scores = [...values.subarray(row * 3, row * 3 + 3)];
      return scores.indexOf(Math.max(...scores));
    });
    const heard: Progress[] = [];
    const { report, latency } = await infer.evaluate(
      'e',
      {
        model,
        task: 'classification',
        classes: ['a', 'b', 'c'],
        part: { inputs, truth, rows: Uint32Array.from(truth, (_, row) => row) },
        measureLatency: false,
        seed: 2,
      },
      Comlink.proxy((progress: Progress) => {
        heard.push(progress);
      }),
    );
    expect(report.task === 'classification' && report.correct).toBe(300);
    expect(latency.provider).toMatch(/^onnxruntime-web, WASM/);
    expect(heard.length).toBeGreaterThan(1);
    const csv = await infer.predictTable(
      't',
      model,
      tableRecipe,
      {
        inputs: tableRows(1),
        rows: Uint32Array.of(0),
        header: ['a'],
        cells: [['=1']],
        delimiter: ',',
        findings: [],
      },
      Comlink.proxy(() => undefined),
    );
    expect(new TextDecoder().decode(csv)).toContain("\r\n'=1,");
  });

  it('sends errors across whole', async () => {
    const missing = { sha256: 'none', storageKey: 'none', bytes: 0 };
    await expect(infer.predict(missing, [])).rejects.toMatchObject({ code: 'store/missing' });
    const broken = infer.inspectModel(new Uint8Array(99).fill(3).buffer);
    await expect(broken).rejects.toBeInstanceOf(AppError);
  });
});
