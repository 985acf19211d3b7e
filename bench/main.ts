/** The bench page: one contender and one task at a time, called by tools/bench.mjs. */
import { describeAdapter } from '../src/engine/device';
import { taskOf } from './task';
import type { Contender, Task, TaskName } from './task';

type Library = 'ours' | 'tfjs' | 'jax-js';
type Backend = 'webgpu' | 'wasm';

interface Limits {
  readonly warmUp: number;
  readonly steps: number;
  /** Fewer steps where they take longer than this together. */
  readonly milliseconds: number;
}

interface Row {
  readonly version: string;
  readonly stepMs: number;
  readonly steps: number;
  readonly examplesPerSecond: number;
  /** After exactly ten steps, or after all where there were fewer. */
  readonly loss: number;
  readonly lossStep: number;
}

const LOSS_STEP = 10;

// Each library is loaded only on the page that runs it.
async function contenderOf(library: Library, task: Task, backend: Backend): Promise<Contender> {
  if (library === 'ours') return (await import('./ours')).ours(task, backend);
  if (library === 'tfjs') return (await import('./tfjs')).stockTfjs(task, backend);
  return (await import('./jax')).jaxJs(task, backend);
}

async function bench(
  library: Library,
  backend: Backend,
  name: TaskName,
  limits: Limits,
): Promise<Row> {
  const task = taskOf(name);
  const contender = await contenderOf(library, task, backend);
  const times: number[] = [];
  const losses: number[] = [];
  const end = performance.now() + limits.milliseconds;
  for (let step = 0; step < limits.warmUp + limits.steps; step++) {
    const start = performance.now();
    losses.push(await contender.step());
    if (step >= limits.warmUp) times.push(performance.now() - start);
    if (times.length > 0 && losses.length >= LOSS_STEP && performance.now() > end) break;
    if (performance.now() > end + limits.milliseconds && times.length > 0) break;
  }
  times.sort((a, b) => a - b);
  const stepMs = times[times.length >> 1] ?? NaN;
  const lossStep = Math.min(LOSS_STEP, losses.length);
  return {
    version: contender.version,
    stepMs,
    steps: times.length,
    examplesPerSecond: (task.batch / stepMs) * 1e3,
    loss: losses[lossStep - 1] ?? NaN,
    lossStep,
  };
}

async function device(): Promise<string> {
  const adapter = (await (navigator as { gpu?: GPU }).gpu?.requestAdapter()) ?? null;
  const gpu = adapter === null ? 'no WebGPU' : describeAdapter(adapter.info);
  return `${gpu}; ${navigator.hardwareConcurrency} cores; ${crossOriginIsolated ? 'isolated' : 'not isolated'}`;
}

Object.assign(globalThis, { bench, device });
document.body.dataset.ready = 'true';
