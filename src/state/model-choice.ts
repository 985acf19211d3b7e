/** Which model a screen begins with, in what order it offers them, and which two belong together. */
import type { Evaluation, Id, ModelVersion, Run } from '../protocol/entities';

/** The champion, then the newest first; baselines at the end. */
export function rankedModels(
  models: readonly ModelVersion[],
  runs: readonly Run[],
): readonly ModelVersion[] {
  const baselines = new Set(runs.filter((run) => run.role === 'baseline').map((run) => run.id));
  const rank = (model: ModelVersion): number => {
    if (model.stage === 'champion') return 0;
    if (model.runId !== null && baselines.has(model.runId)) return 3;
    return model.parentId === null ? 1 : 2;
  };
  return [...models].sort((a, b) => rank(a) - rank(b) || b.number - a.number);
}

export function isQuantised({ kind }: Pick<ModelVersion, 'kind'>): boolean {
  return kind === 'int8-dynamic' || kind === 'int8-static';
}

/** The model to set beside this one: its newest int8 copy, or the model that it was made from. */
export function companionOf(
  model: ModelVersion,
  models: readonly ModelVersion[],
): ModelVersion | null {
  if (model.parentId !== null) return models.find(({ id }) => id === model.parentId) ?? null;
  return models.findLast(({ parentId }) => parentId === model.id) ?? null;
}

/** The newest evaluation of a model on one of these parts, the first part that has one. */
export function evaluationOf(
  modelId: Id,
  evaluations: readonly Evaluation[],
  parts: readonly Evaluation['part'][] = ['test', 'validation', 'all'],
): Evaluation | null {
  for (const part of parts) {
    const found = evaluations.findLast(
      (evaluation) => evaluation.modelVersionId === modelId && evaluation.part === part,
    );
    if (found) return found;
  }
  return null;
}
