/** Evaluations and their predictions. The rows of predictions are packed into one chunk of float64. */
import { AppError, invariant } from '../core/errors';
import type { StoreApi } from '../protocol/api';
import type { Evaluation, PredictionRow } from '../protocol/entities';
import type { StoreContext } from './context';
import { found } from './errors';
import { hashRecord } from './record-hash';
import type { EvaluationRow } from './schema';

type EvaluationMethods = Pick<StoreApi, 'putEvaluation' | 'listEvaluations' | 'getPredictions'>;

export async function withEvaluationId(record: Omit<Evaluation, 'id'>): Promise<Evaluation> {
  return { ...record, id: await hashRecord(record) };
}

export function evaluationMethods(context: StoreContext): EvaluationMethods {
  const { evaluations, models, datasets, links } = context.core;
  return {
    async putEvaluation(draft, predictions) {
      context.assertWritable();
      const evaluation = await withEvaluationId({ ...draft, format: 1, createdAt: context.now() });
      const ref = await context.keepBytes(packPredictions(predictions));
      const tables = [evaluations, models, datasets, links];
      const { modelVersionId, projectId, datasetId } = evaluation;
      return context.publish('The evaluation', [ref], () =>
        context.writeProject(projectId, 'the evaluation', tables, async () => {
          const model = found(await models.get(modelVersionId), 'model', modelVersionId);
          invariant(model.projectId === projectId, 'an evaluation belongs to its model’s project');
          await context.link(projectId, datasetId);
          await evaluations.put({ ...evaluation, predictions: ref });
          return evaluation;
        }),
      );
    },

    async listEvaluations(projectId) {
      const rows = await context.read('the evaluations', [evaluations], () =>
        evaluations.where({ projectId }).toArray(),
      );
      return rows.sort((a, b) => a.createdAt - b.createdAt).map(publicEvaluation);
    },

    async getPredictions(id) {
      const row = found(
        await context.read('the evaluation', [evaluations], () => evaluations.get(id)),
        'evaluation',
        id,
      );
      if (row.predictions === null) {
        throw new AppError(
          'store/rows-left-out',
          'The project file this evaluation came from left the rows out, so its predictions are not here. Evaluate the model again.',
          { id },
        );
      }
      return unpackPredictions(await context.chunks.get(row.predictions));
    },
  };
}

function publicEvaluation({ predictions: _, ...evaluation }: EvaluationRow): Evaluation {
  return evaluation;
}

/** Layout: rows, classes, then for each row its number, actual, predicted and the class probabilities. */
export function packPredictions(predictions: readonly PredictionRow[]): ArrayBuffer {
  const classes = predictions[0]?.probabilities.length ?? 0;
  const packed = new Float64Array(2 + predictions.length * (3 + classes));
  packed.set([predictions.length, classes]);
  let at = 2;
  for (const { row, actual, predicted, probabilities } of predictions) {
    invariant(probabilities.length === classes, 'every prediction has as many probabilities');
    packed.set([row, actual, predicted], at);
    packed.set(probabilities, at + 3);
    at += 3 + classes;
  }
  return packed.buffer;
}

export function unpackPredictions(bytes: ArrayBuffer): readonly PredictionRow[] {
  const packed = bytes.byteLength % 8 === 0 ? new Float64Array(bytes) : new Float64Array();
  const [count = -1, classes = 0] = packed;
  if (packed.length !== 2 + count * (3 + classes)) {
    throw new AppError('store/corrupt', 'The stored predictions have the wrong length.', {
      bytes: bytes.byteLength,
    });
  }
  return Array.from({ length: count }, (_, index) => {
    const at = 2 + index * (3 + classes);
    const [row = 0, actual = 0, predicted = 0] = packed.subarray(at, at + 3);
    const probabilities = Array.from(packed.subarray(at + 3, at + 3 + classes));
    return { row, actual, predicted, probabilities };
  });
}
