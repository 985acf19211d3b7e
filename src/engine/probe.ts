/**
 * Measures on first start what this computer offers, and chooses the executor: a matrix product for raw speed, a
 * small training step for the cost of many small operations. About two seconds in all; a missing or failing
 * graphics processor leads to the processor, never to an error.
 */
import type { OnProgress, ProbeReport } from '../protocol/api';
import type { Executor } from './executor';
import { matmulGraph, stepGraph } from './probe-graph';
import type { ProbeGraph } from './probe-graph';

const MATRIX = 256;
const STEP = { batch: 32, features: 64, hidden: 128, classes: 10 };
/** Time for each of the four measurements; what runs longer than that is slow, which is the answer. */
const BUDGET_MS = 250;
const MOST_RUNS = 20;
/** Work of an ordinary step of an ordinary small model. */
const ORDINARY_GFLOP = 0.1;

export interface Speed {
  readonly gflops: number;
  readonly stepMs: number;
}

/** Milliseconds of one step: the median of what fits the budget, after one run that compiles. */
async function timed(executor: Executor, probe: ProbeGraph): Promise<number> {
  const state = await executor.createState(probe.specs);
  try {
    await state.write(probe.initial);
    const { updates, outputs, feeds } = probe;
    const program = await executor.compile(probe.graph, state, { updates, outputs });
    try {
      await program.step(feeds).read();
      const times: number[] = [];
      const end = performance.now() + BUDGET_MS;
      while (times.length === 0 || (times.length < MOST_RUNS && performance.now() < end)) {
        const start = performance.now();
        await program.step(feeds).read();
        times.push(performance.now() - start);
      }
      times.sort((a, b) => a - b);
      return times[times.length >> 1] ?? Infinity;
    } finally {
      program.dispose();
    }
  } finally {
    state.dispose();
  }
}

export async function measure(executor: Executor): Promise<Speed> {
  const { batch, features, hidden, classes } = STEP;
  const stepMs = await timed(executor, stepGraph(batch, features, hidden, classes));
  const matmulMs = await timed(executor, matmulGraph(MATRIX));
  return { stepMs, gflops: (2 * MATRIX ** 3) / matmulMs / 1e6 };
}

/** Milliseconds that an ordinary step would take: its small operations, and its arithmetic. */
const ordinaryStep = ({ stepMs, gflops }: Speed): number =>
  stepMs + (ORDINARY_GFLOP / gflops) * 1e3;

/** Which executor, and why, in one sentence for anybody. `webgpu` is null without WebGPU. */
export function choose(
  webgpu: (Speed & { readonly software: boolean }) | 'failed' | null,
  wasm: Speed,
): Pick<ProbeReport, 'chosen' | 'reason'> {
  if (webgpu === null) {
    return {
      chosen: 'wasm',
      reason:
        'This browser offers no graphics processor to programs, so the processor does the work.',
    };
  }
  if (webgpu === 'failed') {
    return {
      chosen: 'wasm',
      reason: 'The graphics processor failed a short trial, so the processor does the work.',
    };
  }
  const ratio = ordinaryStep(wasm) / ordinaryStep(webgpu);
  if (ratio > 1) {
    return {
      chosen: 'webgpu',
      reason: webgpu.software
        ? 'The graphics processor here is emulated in software, yet it came out faster in a short trial.'
        : `The graphics processor was ${ratio < 1.95 ? 'faster than' : `about ${Math.round(ratio)} times as fast as`} the processor in a short trial.`,
    };
  }
  return {
    chosen: 'wasm',
    reason: webgpu.software
      ? 'The graphics processor here is emulated in software, so the processor is faster.'
      : 'For small models the processor was faster than the graphics processor in a short trial.',
  };
}

async function measureWebgpu(): Promise<ProbeReport['webgpu'] | 'failed'> {
  const { openDevice } = await import('./device');
  const gpu = await openDevice();
  if (gpu === null) return null;
  const { WebgpuExecutor } = await import('./webgpu/executor');
  const { bindingBytes } = await import('./webgpu/traits');
  const executor = new WebgpuExecutor(gpu);
  try {
    const speed = await measure(executor);
    const { precisions, plans }: Executor = executor;
    return {
      label: gpu.label,
      software: gpu.software,
      ...speed,
      limits: { pieceBytes: bindingBytes(gpu) },
      ...(precisions && { precisions }),
      ...(plans && { plans }),
    };
  } finally {
    executor.dispose();
  }
}

export async function probe(onProgress: OnProgress): Promise<ProbeReport> {
  onProgress({ label: 'Trying the processor', done: 0, total: 2, unit: 'steps' });
  const { createWasmExecutor } = await import('./wasm/executor');
  const executor = await createWasmExecutor();
  const { threads } = executor;
  const wasm = { threads, ...(await measure(executor)) };
  executor.dispose();
  onProgress({ label: 'Trying the graphics processor', done: 1, total: 2, unit: 'steps' });
  let webgpu: ProbeReport['webgpu'] | 'failed';
  try {
    webgpu = await measureWebgpu();
  } catch (error) {
    console.warn('The graphics processor failed its trial.', error);
    webgpu = 'failed';
  }
  onProgress({ label: 'Trying the graphics processor', done: 2, total: 2, unit: 'steps' });
  return { ...choose(webgpu, wasm), webgpu: webgpu === 'failed' ? null : webgpu, wasm };
}
