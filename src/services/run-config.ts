import { AppError } from '../core/errors';
import type { BlueprintConfig, Project, RecipeConfig, RunConfig } from '../protocol/entities';

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
    recipe: prepared(recipe, blueprint),
    split,
    blueprint,
    training,
    seed,
    executor,
  };
}

/** A pretrained body wants its pictures as it was taught with them; a blueprint of ours takes them as they are. */
function prepared(recipe: RecipeConfig, blueprint: BlueprintConfig): RecipeConfig {
  return blueprint.kind === 'pretrained' && blueprint.picture !== null
    ? { ...recipe, image: blueprint.picture }
    : recipe;
}
