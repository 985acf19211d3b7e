import { AppError } from '../core/errors';
import type { Project, RunConfig } from '../protocol/entities';

/** The configuration of a project's next run. */
export function runConfig(project: Project): RunConfig {
  const { datasetId, target, task, recipe, split, blueprint, training, seed, executor } = project;
  if (!datasetId || target === null || !task || !blueprint || !training) {
    throw new AppError(
      'project/incomplete',
      `"${project.name}" needs data, a target and a model before it can train.`,
      { projectId: project.id },
    );
  }
  return {
    format: 1,
    datasetId,
    target,
    task,
    recipe,
    split,
    blueprint,
    training,
    seed,
    executor,
  };
}
