/** What a person's model files may cost, and the data worker's calls that read them where they can harm nothing. */
import type { Architecture, PretrainedFile, ReadPretrained } from './pretrained';
import type { OnProgress } from './progress';

export const MODEL_LIMITS = {
  /** All files of a model together; a Uint8Array of twice that is more than browsers give. */
  bytes: 2 * 1024 ** 3,
  files: 10_000,
  /** `model.json` and `metadata.json`: JSON takes up to ten times as much in memory. */
  json: 32 * 1024 ** 2,
  /** What a LoRA run learned. */
  adapter: 512 * 1024 ** 2,
  /** A job file. */
  job: 1024 ** 2,
} as const;

/** What a model file is, before anything opens it. */
export interface CheckedModel {
  readonly nodes: number;
  readonly weights: number;
  readonly opset: number;
  readonly operators: readonly string[];
}

export interface ModelFilesApi {
  /**
   * Reads what a person picked to start from, checks it, and gives it back as one file to keep. Weights alone are
   * read into `architecture`.
   */
  readPretrained(
    callId: string,
    files: readonly PretrainedFile[],
    architecture: Architecture | null,
    onProgress: OnProgress,
  ): Promise<ReadPretrained>;
  /** Reads an `.onnx` file to its end and throws what is wrong with it. */
  checkModel(callId: string, file: Blob): Promise<CheckedModel>;
}

/** The disposable worker's part. */
export interface ModelParser {
  readPretrained(
    files: readonly PretrainedFile[],
    architecture: Architecture | null,
    onProgress: OnProgress,
  ): Promise<ReadPretrained>;
  checkModel(file: Blob): Promise<CheckedModel>;
}
