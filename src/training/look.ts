/** Whether a run can train on a frozen body's answers, and where they come from: the store, or a look at every row. */
import { hashJson } from '../core/hash';
import type { Executor } from '../engine/executor';
import type { Graph } from '../onnx/graph';
import type { OnProgress, StoreApi, TrainRequest } from '../protocol/api';
import type { Base } from './base';
import type { BatchSource } from './batch-source';
import type { RunControl } from './control';
import { MOST_FEATURE_BYTES, lookAtAll, packFeatures, unpackFeatures } from './features';
import type { FeatureTable } from './features';
import type { Lesson } from './lesson';
import { microBatchRows } from './micro-batch';

export interface Looking {
  readonly request: TrainRequest;
  readonly lesson: Lesson;
  readonly base: Base;
  readonly executor: Executor;
  readonly batches: BatchSource;
  readonly control: RunControl;
  readonly store: Pick<StoreApi, 'putFeatures' | 'getFeatures'>;
  readonly onProgress: OnProgress;
}

/** null where the body has to be asked anew at every step: it learns, or the rows change. */
export async function answersOfBody(looking: Looking): Promise<FeatureTable | null> {
  const { request, lesson, executor, batches, control, store, onProgress } = looking;
  const { split } = lesson;
  const { training } = request.config;
  const { accumulate = 1 } = training;
  const { train, validation } = request.prepared.parts;
  const rows = train + validation;
  if (split === null || !canLook(request, lesson)) return null;
  const key = await keyOf(looking);
  const kept = await store.getFeatures(key);
  const known = kept && unpackFeatures(kept, rows, split.width);
  if (known) return known;
  const table = await lookAtAll({
    executor,
    frozen: withBatch(split.body, microBatchRows(training.batchSize, accumulate)),
    batchSize: training.batchSize,
    parts: accumulate,
    rows: { train, validation },
    noun: request.prepared.recipe.input.type === 'images' ? 'pictures' : 'rows',
    batches,
    control,
    onProgress,
  });
  try {
    await store.putFeatures(key, packFeatures(table), request.config.datasetId);
  } catch (error) {
    // A full disk costs the next run a look; this one has what it needs.
    console.warn('The answers of the frozen part could not be kept.', error);
  }
  return table;
}

/** Whether the frozen part's answers to all rows stay the same, and can be held. */
export function canLook(
  { config, prepared }: Pick<TrainRequest, 'config' | 'prepared'>,
  { split }: Pick<Lesson, 'split'>,
): boolean {
  const { train, validation } = prepared.parts;
  if (split === null || config.training.augment !== null) return false;
  return (train + validation) * split.width * 4 <= MOST_FEATURE_BYTES;
}

/** Everything that the answers depend on. */
function keyOf({ request, lesson, base, executor }: Looking): Promise<string> {
  const { config, prepared } = request;
  const { datasetId, target, split, blueprint } = config;
  return hashJson({
    format: 1,
    datasetId,
    target,
    split,
    recipe: prepared.recipe,
    base: base.sha256,
    cut: blueprint.kind === 'pretrained' ? blueprint.cut : null,
    until: lesson.split?.body.outputs[0]?.name ?? null,
    executor: executor.name,
    plan: executor.planId,
  });
}

/** With its batch axis fixed, as a program for one pass wants it. */
export function withBatch(graph: Graph, batch: number): Graph {
  const fixed = <T extends { readonly dims: readonly (number | string)[] }>(info: T): T => ({
    ...info,
    dims: [batch, ...info.dims.slice(1)],
  });
  return {
    ...graph,
    inputs: graph.inputs.map(fixed),
    outputs: graph.outputs.map(fixed),
    valueInfo: new Map(),
  };
}
