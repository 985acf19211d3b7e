/** From a float model file to its int8 copy: the transforms of compress/, with calibration on this runtime. */
import { calibrate, probe } from '../compress/calibrate';
import { quantiseDynamic } from '../compress/int8-dynamic';
import type { Quantised } from '../compress/int8-dynamic';
import { planStatic, quantiseStatic } from '../compress/int8-static';
import { AppError } from '../core/errors';
import type { Graph } from '../onnx/graph';
import { readModel } from '../onnx/reader';
import { writeModel } from '../onnx/writer';
import type { OnProgress, RawPart } from '../protocol/api';
import { evenRows, gather, rowsOf, slice } from './batches';
import type { ModelInput, Runtime } from './runtime';

const CALIBRATION_ROWS = 512;
const BATCH = 64;

export interface QuantisedFile {
  readonly model: ArrayBuffer;
  readonly notes: readonly string[];
}

export async function quantiseFile(
  file: Uint8Array,
  mode: 'int8-dynamic' | 'int8-static',
  calibration: RawPart | null,
  runtime: Runtime,
  onProgress: OnProgress,
  check: () => Promise<void>,
): Promise<QuantisedFile> {
  const graph = readModel(file);
  if (mode === 'int8-dynamic') {
    onProgress({ label: 'Quantising the weights' });
    return finish(quantiseDynamic(graph), file.byteLength);
  }
  const [first] = calibration?.inputs ?? [];
  if (!calibration || (first?.dims[0] ?? 0) === 0) {
    throw new AppError(
      'compress/no-calibration',
      'Static int8 needs training rows to find the range of each layer, and there are none. Use dynamic int8, or choose a dataset that fits the model.',
    );
  }
  const rows = evenRows(rowsOf(calibration.inputs), CALIBRATION_ROWS);
  const quantised = await quantiseStatically(graph, gather(calibration.inputs, rows), runtime, {
    onProgress,
    check,
  });
  const notes = [...quantised.notes, `Ranges were calibrated on ${rows.length} training rows.`];
  return finish({ graph: quantised.graph, notes }, file.byteLength);
}

async function quantiseStatically(
  graph: Graph,
  inputs: readonly ModelInput[],
  runtime: Runtime,
  { onProgress, check }: { onProgress: OnProgress; check: () => Promise<void> },
) {
  const plan = planStatic(graph);
  const probed = probe(plan.graph, plan.probes);
  const session = await runtime.open(writeModel(probed.graph));
  const total = rowsOf(inputs);
  async function* batches() {
    for (let start = 0; start < total; start += BATCH) {
      await check();
      onProgress({ label: 'Calibrating on training rows', done: start, total, unit: 'rows' });
      const part = slice(inputs, start, Math.min(start + BATCH, total));
      const results = await session.run(part, [...probed.probes.keys()]);
      yield new Map([...results].map(([name, { data }]) => [name, data]));
    }
  }
  try {
    return quantiseStatic(plan, await calibrate(probed, batches()));
  } finally {
    await session.release();
  }
}

function finish({ graph, notes }: Quantised, before: number): QuantisedFile {
  const model = writeModel(graph).buffer;
  const larger =
    model.byteLength < before
      ? []
      : [
          `The file grew from ${before} to ${model.byteLength} bytes: the model has so few weights that scales and extra nodes outweigh what int8 saves. Keep the float model.`,
        ];
  return { model, notes: [...larger, ...notes] };
}
