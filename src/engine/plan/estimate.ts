/** What a step will take of a device's memory, told without one: the plan is drawn up and its buffers are added. */
import type { Graph } from '../../onnx/graph';
import type { DeviceTraits } from '../../ops/lowering/plan';
import type { CompileOptions, StateSpec } from '../executor';
import { planStep } from './compile';
import { expandForPlan } from './lowerings';
import { StateLayout } from './state-layout';

/** All in bytes. */
export interface StepMemory {
  /** What intermediate values share. */
  readonly arena: number;
  /** Weights, moments and whatever else a State holds. */
  readonly state: number;
  readonly feeds: number;
  readonly constants: number;
  readonly results: number;
  /** The largest piece that cannot be divided: a buffer, or of the arena, which can be several, one value. */
  readonly largest: number;
}

/** What most graphics processors grant. */
export const USUAL_TRAITS: DeviceTraits = {
  software: false,
  subgroups: false,
  float16: false,
  workgroupThreads: 256,
  workgroupBytes: 16384,
};

/** @throws AppError `engine/unsupported` as compiling would */
export function estimateStep(
  graph: Graph,
  specs: readonly StateSpec[],
  options: Pick<CompileOptions, 'updates' | 'outputs' | 'precision'>,
  traits: DeviceTraits = USUAL_TRAITS,
): StepMemory {
  const { buffers, memory } = planStep({
    graph: expandForPlan(graph, traits),
    state: new StateLayout(specs),
    options,
    traits,
    bindingBytes: Infinity,
  });
  const others = ['state', 'feeds', 'constants', 'results'];
  const bytes = (wanted: (name: string) => boolean): number =>
    buffers.reduce((sum, { name, size }) => (wanted(name) ? sum + size * 4 : sum), 0);
  return {
    arena: bytes((name) => !others.includes(name)),
    state: bytes((name) => name === 'state'),
    feeds: bytes((name) => name === 'feeds'),
    constants: bytes((name) => name === 'constants'),
    results: bytes((name) => name === 'results'),
    largest: Math.max(
      ...others.map((other) => bytes((name) => name === other)),
      ...memory.map((value) => value.bytes),
    ),
  };
}
