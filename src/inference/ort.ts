/**
 * onnxruntime-web on WASM: what is shipped is what is measured. The glue is loaded from its own address, not
 * from inside our bundle, because its threads start from the script that it was loaded from.
 */
import { InferenceSession, Tensor, env } from 'onnxruntime-web/wasm';
import glueUrl from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import wasmUrl from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import { AppError } from '../core/errors';
import type { ModelInput, ModelSession, OutputTensor, Runtime } from './runtime';

const MOST_THREADS = 4;

export function createOrtRuntime(): Runtime {
  // Threads need shared memory; one core stays free for the page.
  const cores = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  const threads = Math.max(1, Math.min(MOST_THREADS, cores - 1));
  env.wasm.numThreads = threads;
  env.wasm.wasmPaths = {
    mjs: new URL(glueUrl, import.meta.url).href,
    wasm: new URL(wasmUrl, import.meta.url).href,
  };
  env.logLevel = 'error';
  return {
    label: `onnxruntime-web, WASM, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
    async open(file) {
      try {
        const session = await InferenceSession.create(file, {
          executionProviders: ['wasm'],
          graphOptimizationLevel: 'all',
          logSeverityLevel: 3,
        });
        return new OrtSession(session);
      } catch (error) {
        throw new AppError(
          'model/load',
          `The runtime cannot load this model: ${wordsOf(error)} Check that it uses standard ONNX operators.`,
          {},
          error,
        );
      }
    },
  };
}

class OrtSession implements ModelSession {
  readonly #session: InferenceSession;

  constructor(session: InferenceSession) {
    this.#session = session;
  }

  async run(
    inputs: readonly ModelInput[],
    outputs: readonly string[],
  ): Promise<ReadonlyMap<string, OutputTensor>> {
    const feeds: Record<string, Tensor> = Object.create(null) as Record<string, Tensor>;
    for (const input of inputs) feeds[input.name] = toTensor(input);
    try {
      const results = await this.#session.run(feeds, outputs);
      return new Map(outputs.map((name) => [name, fromTensor(name, results[name])]));
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw new AppError(
        'model/run',
        `The model failed while it ran: ${wordsOf(error)} Check that the inputs fit its signature.`,
        { inputs: inputs.map(({ name, dtype, dims }) => ({ name, dtype, dims })) },
        error,
      );
    }
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

function toTensor({ dtype, data, dims }: ModelInput): Tensor {
  return new Tensor(dtype, data, dims);
}

function fromTensor(name: string, tensor: Tensor | undefined): OutputTensor {
  if (!(tensor?.data instanceof Float32Array)) {
    throw new AppError(
      'model/output',
      `The model's output "${name}" is ${tensor?.type ?? 'missing'}, not float32. Choose a model whose outputs are float32.`,
      { name, type: tensor?.type ?? null },
    );
  }
  return { dims: tensor.dims, data: tensor.data };
}

function wordsOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.endsWith('.') ? text : `${text}.`;
}
