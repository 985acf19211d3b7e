import type { OnProgress, RawPart } from '../protocol/api';
import type { Id, ModelVersion } from '../protocol/entities';
import { moved } from './bridge';
import { configOf, recipeOf } from './judging';
import type { WorkerSet } from './workers';

/** Rows that static quantisation looks at to choose its ranges. */
const CALIBRATION_ROWS = 512;

/** A quantised copy of a model, kept as a ModelVersion with its parent. */
export async function compress(
  workers: WorkerSet,
  callId: string,
  modelId: Id,
  mode: 'int8-dynamic' | 'int8-static',
  onProgress: OnProgress,
): Promise<{ readonly model: ModelVersion; readonly notes: readonly string[] }> {
  const { data, infer, store } = workers;
  const parent = await store.getModel(modelId);
  const project = await store.getProject(parent.projectId);
  let calibration: RawPart | null = null;
  if (mode === 'int8-static') {
    onProgress({ label: 'Reading training rows to calibrate on' });
    const config = await configOf(workers, project, parent);
    const recipe = await recipeOf(workers, parent, config);
    calibration = await data.readPart(config, recipe, 'train', {
      unsealed: false,
      limit: CALIBRATION_ROWS,
    });
  }
  const { model: file, notes } = await infer.quantise(
    callId,
    parent.file,
    mode,
    calibration,
    onProgress,
  );
  const { graphHash } = await infer.inspectModel(file);
  const model = await store.putModel(
    {
      projectId: parent.projectId,
      name: `${parent.name} (${mode})`,
      stage: 'draft',
      kind: mode,
      runId: null,
      parentId: parent.id,
      datasetId: parent.datasetId,
      graphHash,
      signature: parent.signature,
      recipe: parent.recipe,
      weights: parent.weights,
    },
    moved(file),
  );
  return { model, notes };
}
