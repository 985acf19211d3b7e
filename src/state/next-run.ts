/** Edits of the next run's settings: each is one undoable edit of the project. */
import type { ProbeReport } from '../protocol/api';
import type { ExecutorName, OptimiserConfig, TrainingConfig } from '../protocol/entities';
import { OPTIMISERS } from '../services/defaults';
import type { OpenProject } from './project.svelte';

export function changeTraining(project: OpenProject, change: Partial<TrainingConfig>): void {
  const { training } = project.current;
  if (!training) return;
  const { accumulate = 1, batchSize } = { ...training, ...change };
  // Another batch size may not be divisible into as many parts.
  const whole = batchSize % accumulate === 0 ? {} : { accumulate: 1 };
  project.edit({ training: { ...training, ...change, ...whole } });
}

const MOST_PARTS = 64;

/** Into how many equal parts a batch can be divided; 1 first. */
export function partsOf(batchSize: number): readonly number[] {
  const most = Math.min(batchSize, MOST_PARTS);
  return Array.from({ length: most }, (_, index) => index + 1).filter(
    (parts) => batchSize % parts === 0,
  );
}

/** Bytes of the forward pass that a graphics processor may be told to keep. */
export const MEMORY_CHOICES = ['auto', 'full', 2 ** 28, 2 ** 26] as const;

/** Settings that do something on the engine that would train; others are not shown. */
export interface Offered {
  readonly precision: boolean;
  readonly plan: boolean;
  readonly memory: boolean;
}

export function offeredOn(executor: ExecutorName | null, report: ProbeReport | null): Offered {
  const graphics = executor === 'webgpu' ? report?.webgpu : null;
  return {
    precision: graphics?.precisions?.includes('float16') ?? false,
    plan: graphics?.plans?.includes('tuned') ?? false,
    memory: executor === 'webgpu',
  };
}

/** Another optimiser begins with its own usual figures. */
export function chooseOptimiser(project: OpenProject, kind: OptimiserConfig['kind']): void {
  if (project.current.training?.optimiser.kind !== kind) {
    changeTraining(project, { optimiser: OPTIMISERS[kind] });
  }
}

/** The losses that fit the question; the first is the usual one. */
export function lossesFor(
  task: 'classification' | 'regression',
  classes: number | null,
): readonly TrainingConfig['loss'][] {
  if (task === 'regression') return ['mse', 'huber'];
  return classes === 2 ? ['softmax-ce', 'bce'] : ['softmax-ce'];
}
