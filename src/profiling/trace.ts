/**
 * A profile as a trace that chrome://tracing, Perfetto and speedscope open: the JSON object form of the Trace Event
 * Format (Google, 2016). Kernels are complete events (`X`) laid end to end, because what is known is how long each
 * takes and not when it began; memory is a counter (`C`) at the beginning of each kernel.
 */
import type { RunProfile } from '../protocol/profile';
import { MEMORY_KINDS, memoryTimeline } from './memory';
import { bytesOf, nodesOf, rate } from './sums';

export interface TraceEvent {
  readonly name: string;
  readonly ph: 'X' | 'C' | 'M';
  readonly pid: number;
  readonly tid: number;
  /** Microseconds. */
  readonly ts?: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly args: Readonly<Record<string, unknown>>;
}

export interface Trace {
  readonly traceEvents: readonly TraceEvent[];
  readonly displayTimeUnit: 'ms' | 'ns';
  readonly otherData: Readonly<Record<string, string | number>>;
}

const PROCESS = 1;
const PHASES = 1;
const KERNELS = 2;

export function traceOf({ step, steps, modelNodes }: RunProfile, name: string): Trace {
  const model = new Set(modelNodes);
  const memory = memoryTimeline(step);
  const label = (tid: number, text: string): TraceEvent => ({
    name: 'thread_name',
    ph: 'M',
    pid: PROCESS,
    tid,
    args: { name: text },
  });
  const events: TraceEvent[] = [
    {
      name: 'process_name',
      ph: 'M',
      pid: PROCESS,
      tid: 0,
      args: { name: `${name}, ${step.device}` },
    },
    label(PHASES, 'phases'),
    label(KERNELS, 'kernels'),
  ];
  let now = 0;
  let phase: { name: string; from: number } | null = null;
  const endPhase = (): void => {
    if (!phase) return;
    const { name: text, from } = phase;
    events.push({
      name: text,
      cat: 'phase',
      ph: 'X',
      pid: PROCESS,
      tid: PHASES,
      ts: from,
      dur: now - from,
      args: {},
    });
  };
  step.kernels.forEach((kernel, index) => {
    if (kernel.phase !== phase?.name) {
      endPhase();
      phase = { name: kernel.phase, from: now };
    }
    events.push({
      name: 'memory',
      ph: 'C',
      pid: PROCESS,
      tid: 0,
      ts: now,
      args: Object.fromEntries(MEMORY_KINDS.map((kind) => [kind, memory.kinds[kind][index] ?? 0])),
    });
    const bytes = bytesOf(kernel);
    const nodes = nodesOf(kernel);
    events.push({
      name: kernel.label,
      cat: kernel.phase,
      ph: 'X',
      pid: PROCESS,
      tid: KERNELS,
      ts: now,
      dur: kernel.micros,
      args: {
        number: index,
        nodes: kernel.nodes.join(', '),
        model: nodes.filter((node) => model.has(node)).join(', '),
        'bytes read': kernel.bytesRead,
        'bytes written': kernel.bytesWritten,
        'GB/s': rate(bytes, kernel.micros),
        workgroups: kernel.workgroups,
        'workgroup size': kernel.workgroupSize,
      },
    });
    now += kernel.micros;
  });
  endPhase();
  return {
    traceEvents: events,
    displayTimeUnit: 'ms',
    otherData: {
      executor: step.executor,
      device: step.device,
      plan: step.planId,
      clock: step.clock,
      'steps, of which each time is typical': steps,
      'microseconds a step': step.stepMicros,
      dispatches: step.counts.dispatches,
      passes: step.counts.passes,
      submits: step.counts.submits,
      'bytes uploaded': step.counts.uploadedBytes,
      'arena bytes': step.arenaBytes,
      'peak bytes': memory.peak.bytes,
    },
  };
}
