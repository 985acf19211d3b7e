/** The one figure that models are ranked by, with its interval: from an evaluation, else from the run itself. */
import { wilson } from '../evaluation/intervals';
import type { Estimate, Evaluation, ModelVersion, Run } from '../protocol/entities';
import { evaluationOf } from './model-choice';

export interface ModelFigure {
  readonly estimate: Estimate;
  readonly part: Evaluation['part'];
  readonly rows: number;
}

/** Accuracy, or RMSE in the target's unit. Null where nothing has been counted. */
export function figureOf(
  model: ModelVersion,
  evaluations: readonly Evaluation[],
  runs: readonly Run[],
): ModelFigure | null {
  const evaluation = evaluationOf(model.id, evaluations);
  if (evaluation) return { ...headline(evaluation), part: evaluation.part };
  const best = runs.find(({ id }) => id === model.runId)?.best;
  if (model.signature.task !== 'classification' || !best?.total) return null;
  const correct = best.correct ?? Math.round(best.metric * best.total);
  return { estimate: wilson(correct, best.total), part: 'validation', rows: best.total };
}

export function headline({ report, rows }: Evaluation): { estimate: Estimate; rows: number } {
  return { estimate: report.task === 'classification' ? report.accuracy : report.rmse, rows };
}
