/**
 * What judging and serving need of a model runtime, so that the same code runs on onnxruntime-web in the worker
 * and on onnxruntime-node in tests. Only inference/ort.ts knows onnxruntime-web.
 */
import type { RawPart } from '../protocol/api';

export type ModelInput = RawPart['inputs'][number];

export interface OutputTensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

export interface ModelSession {
  /** Runs the float32 outputs named; rejects with `model/run` and the runtime's words. */
  run(
    inputs: readonly ModelInput[],
    outputs: readonly string[],
  ): Promise<ReadonlyMap<string, OutputTensor>>;
  release(): Promise<void>;
}

export interface Runtime {
  /** Where the model runs, for people: `onnxruntime-web, WASM, 2 threads`. */
  readonly label: string;
  /** Rejects with `model/load` where the runtime refuses the file. */
  open(file: Uint8Array): Promise<ModelSession>;
}
