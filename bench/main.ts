/** The bench page: passes on what tools/bench.mjs asks, one thing at a time, to a worker that never stops for the page. */
import type { Answer } from './worker';

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });

function bench(method: string, given: readonly unknown[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      if ('error' in data) reject(new Error(data.error));
      else resolve(data.value);
    };
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage({ method, given });
  });
}

Object.assign(globalThis, { bench });
document.body.dataset.ready = 'true';
