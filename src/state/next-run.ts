/** Edits of the next run's settings: each is one undoable edit of the project. */
import type { OptimiserConfig, TrainingConfig } from '../protocol/entities';
import { OPTIMISERS } from '../services/defaults';
import type { OpenProject } from './project.svelte';

export function changeTraining(project: OpenProject, change: Partial<TrainingConfig>): void {
  const { training } = project.current;
  if (training) project.edit({ training: { ...training, ...change } });
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
