/**
 * What a profiled step comes to: in all, by operator, by node of the model. A kernel that does the work of several
 * nodes counts for them together: how its time divides among them is not known, so it is not divided.
 */
import type { ProfiledKernel, StepProfile } from '../protocol/profile';

export const PHASES = ['forward', 'backward', 'update'] as const;
export type Phase = ProfiledKernel['phase'];

export interface Sum {
  /** Operators joined by ` + `, or names of nodes. */
  readonly key: string;
  readonly nodes: readonly string[];
  readonly micros: number;
  /** Of the time of all kernels; 0 where that is 0. */
  readonly share: number;
  readonly bytes: number;
  /** null where the time is too short to be told. */
  readonly gigabytesPerSecond: number | null;
  readonly dispatches: number;
  readonly phases: Readonly<Record<Phase, number>>;
}

export interface Totals {
  readonly stepMicros: number;
  readonly kernelMicros: number;
  /** Of the step's time, what the kernels take; at most 1. */
  readonly busy: number;
  readonly bytes: number;
  readonly phases: Readonly<Record<Phase, number>>;
}

export function bytesOf({ bytesRead, bytesWritten }: ProfiledKernel): number {
  return bytesRead + bytesWritten;
}

export function nodesOf({ origins, nodes }: ProfiledKernel): readonly string[] {
  return origins ?? nodes;
}

/** Bytes a microsecond are megabytes a second. */
export function rate(bytes: number, micros: number): number | null {
  return micros > 0 ? bytes / micros / 1000 : null;
}

export function totals({ kernels, stepMicros }: StepProfile): Totals {
  const phases = noTime();
  let bytes = 0;
  for (const kernel of kernels) {
    phases[kernel.phase] += kernel.micros;
    bytes += bytesOf(kernel);
  }
  const kernelMicros = phases.forward + phases.backward + phases.update;
  const busy = stepMicros > 0 ? Math.min(1, kernelMicros / stepMicros) : 0;
  return { stepMicros, kernelMicros, busy, bytes, phases };
}

export function byOperator(step: StepProfile, phase: Phase | null = null): readonly Sum[] {
  return sumsBy(step, phase, ({ label }) => label);
}

/** One row for each set of the model's nodes that share kernels. */
export function byNode(step: StepProfile, phase: Phase | null = null): readonly Sum[] {
  return sumsBy(step, phase, (kernel) => [...nodesOf(kernel)].sort().join(', '));
}

/** The longest first, and of equal ones the one that begins first. Shares are of the whole step's kernels. */
function sumsBy(
  { kernels }: StepProfile,
  phase: Phase | null,
  keyOf: (kernel: ProfiledKernel) => string,
): readonly Sum[] {
  const groups = new Map<string, ProfiledKernel[]>();
  for (const kernel of kernels) {
    if (phase !== null && kernel.phase !== phase) continue;
    const key = keyOf(kernel);
    const group = groups.get(key);
    if (group) group.push(kernel);
    else groups.set(key, [kernel]);
  }
  const all = micros(kernels);
  const sums = [...groups].map(([key, group]) => sumOf(key, group, all));
  return sums.sort((a, b) => b.micros - a.micros);
}

function sumOf(key: string, group: readonly ProfiledKernel[], all: number): Sum {
  const phases = noTime();
  let bytes = 0;
  for (const kernel of group) {
    phases[kernel.phase] += kernel.micros;
    bytes += bytesOf(kernel);
  }
  const own = micros(group);
  return {
    key,
    nodes: [...new Set(group.flatMap(nodesOf))],
    micros: own,
    share: all > 0 ? own / all : 0,
    bytes,
    gigabytesPerSecond: rate(bytes, own),
    dispatches: group.length,
    phases,
  };
}

export interface NodeCost {
  readonly micros: number;
  readonly share: number;
  readonly bytes: number;
  readonly dispatches: number;
  readonly phases: Readonly<Record<Phase, number>>;
  /** Other nodes whose work is done by some of the same kernels. */
  readonly sharedWith: readonly string[];
}

/** For each node of the model the kernels that work for it. Where kernels are shared these overlap. */
export function costOfNodes(
  { kernels }: StepProfile,
  modelNodes: Iterable<string>,
): ReadonlyMap<string, NodeCost> {
  const own = new Map<string, ProfiledKernel[]>([...modelNodes].map((name) => [name, []]));
  for (const kernel of kernels) {
    for (const name of new Set(nodesOf(kernel))) own.get(name)?.push(kernel);
  }
  const all = micros(kernels);
  const costs = new Map<string, NodeCost>();
  for (const [name, group] of own) {
    if (group.length === 0) continue;
    const { micros: time, share, bytes, dispatches, phases, nodes } = sumOf(name, group, all);
    const sharedWith = nodes.filter((other) => other !== name);
    costs.set(name, { micros: time, share, bytes, dispatches, phases, sharedWith });
  }
  return costs;
}

/** Share of the time that kernels take which work for some node of the model; the rest is loss and update. */
export function shareOfModel({ kernels }: StepProfile, modelNodes: Iterable<string>): number {
  const model = new Set(modelNodes);
  const all = micros(kernels);
  const own = micros(kernels.filter((kernel) => nodesOf(kernel).some((name) => model.has(name))));
  return all > 0 ? own / all : 0;
}

function micros(kernels: readonly ProfiledKernel[]): number {
  return kernels.reduce((total, kernel) => total + kernel.micros, 0);
}

function noTime(): Record<Phase, number> {
  return { forward: 0, backward: 0, update: 0 };
}
