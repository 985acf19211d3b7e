/**
 * onnxruntime-web's WASM build, set up for training. Glue and binary are loaded from their own addresses rather
 * than from inside our bundle: its threads start from the very script that it was loaded from.
 */
import { env, InferenceSession } from 'onnxruntime-web/wasm';
import glueUrl from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import wasmUrl from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';

/**
 * One core stays free for the page, but two threads train even on two cores: the page needs little, and the system
 * gives it its turn. Without isolation there is no shared memory, so one thread.
 */
export function trainingThreads(): number {
  if (!globalThis.crossOriginIsolated) return 1;
  const cores = navigator.hardwareConcurrency;
  return Math.max(Math.min(2, cores), cores - 1);
}

export function setUpOrt(threads: number): void {
  env.wasm.numThreads = threads;
  env.wasm.wasmPaths = {
    mjs: new URL(glueUrl, import.meta.url).href,
    wasm: new URL(wasmUrl, import.meta.url).href,
  };
  env.logLevel = 'error';
}

export const ortVersion = (): string => env.versions.web ?? 'unknown';

export function openSession(model: Uint8Array): Promise<InferenceSession> {
  return InferenceSession.create(model, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    logSeverityLevel: 3,
  });
}
