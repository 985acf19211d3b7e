/** Model versions: a number in the project, a stage, and the `.onnx` file as one chunk. */
import type { ModelDraft, StoreApi } from '../protocol/api';
import type { Id, ModelVersion, Stage } from '../protocol/entities';
import type { StoreContext } from './context';
import { found } from './errors';
import { hashRecord } from './record-hash';

type ModelMethods = Pick<
  StoreApi,
  | 'putModel'
  | 'getModel'
  | 'listModels'
  | 'setStage'
  | 'renameModel'
  | 'trashModel'
  | 'restoreModel'
>;

/** The id of a model as it was made; its name, stage and trash mark may change later and the id stays. */
export async function withModelId(record: Omit<ModelVersion, 'id'>): Promise<ModelVersion> {
  return { ...record, id: await hashRecord(record) };
}

/** Adds a model with what else belongs into its transaction: `beside` runs in it, after the model was added. */
export type AddModel = (
  draft: ModelDraft,
  file: ArrayBuffer,
  adapterFile: ArrayBuffer | null | undefined,
  beside?: (model: ModelVersion) => Promise<void>,
) => Promise<ModelVersion>;

export function modelAdder(context: StoreContext): AddModel {
  const { models, projects, runs, datasets, links, checkpoints } = context.core;

  async function nextNumber(projectId: Id): Promise<number> {
    const rows = await models.where({ projectId }).toArray();
    return 1 + Math.max(0, ...rows.map((row) => row.number));
  }

  /** null when another writer took the number between reading it and here. */
  async function add(model: ModelVersion): Promise<ModelVersion | null> {
    const { projectId, runId, parentId } = model;
    found(await projects.get(projectId), 'project', projectId);
    if (runId !== null) found(await runs.get(runId), 'run', runId);
    if (parentId !== null) found(await models.get(parentId), 'model', parentId);
    if ((await nextNumber(projectId)) !== model.number) return null;
    await context.link(projectId, model.datasetId);
    if (model.stage === 'champion') await retireChampions(context, projectId);
    await models.add(model);
    return model;
  }

  return async (draft, file, adapterFile, beside) => {
    context.assertWritable();
    const ref = await context.keepBytes(file);
    const adapter = adapterFile ? await context.keepBytes(adapterFile) : null;
    const tables = [models, projects, runs, datasets, links, ...(beside ? [checkpoints] : [])];
    for (;;) {
      // The id covers the number, and hashing may not be awaited inside the transaction that adds it.
      const number = await context.read('the models', [models], () => nextNumber(draft.projectId));
      const model = await withModelId({
        ...draft,
        format: 1,
        number,
        createdAt: context.now(),
        file: ref,
        ...(adapter ? { adapter } : {}),
        trashedAt: null,
      });
      const refs = adapter ? [ref, adapter] : [ref];
      const added = await context.publish('The model', refs, () =>
        context.writeProject(draft.projectId, 'the model', tables, async () => {
          const done = await add(model);
          if (done) await beside?.(done);
          return done;
        }),
      );
      if (added) return added;
    }
  };
}

/** Inside a transaction: a project has one champion, in the trash or out of it. */
async function retireChampions({ core }: StoreContext, projectId: Id): Promise<void> {
  const rows = await core.models.where({ projectId }).toArray();
  const champions = rows.filter((row) => row.stage === 'champion');
  await core.models.bulkPut(champions.map((row) => ({ ...row, stage: 'retired' satisfies Stage })));
}

export function modelMethods(context: StoreContext): ModelMethods {
  const addModel = modelAdder(context);
  const { models } = context.core;

  async function getModel(id: Id): Promise<ModelVersion> {
    return found(await context.read('the model', [models], () => models.get(id)), 'model', id);
  }

  async function change(id: Id, edit: (model: ModelVersion) => Partial<ModelVersion>) {
    context.assertWritable();
    const { projectId } = await getModel(id);
    return context.writeProject(projectId, 'the model', [models], async () => {
      const model = found(await models.get(id), 'model', id);
      const next = { ...model, ...edit(model) };
      if (next.stage === 'champion' && model.stage !== 'champion') {
        await retireChampions(context, model.projectId);
      }
      await models.put(next);
      return next;
    });
  }

  return {
    putModel: (draft, file, adapterFile) => addModel(draft, file, adapterFile),

    getModel,

    async listModels(projectId) {
      const rows = await context.read('the models', [models], () =>
        models.where({ projectId }).toArray(),
      );
      return rows.sort((a, b) => a.number - b.number);
    },

    setStage: (id, stage) => change(id, () => ({ stage })),
    renameModel: (id, name) => change(id, () => ({ name })),
    trashModel: (id) => change(id, () => ({ trashedAt: context.now() })),
    restoreModel: (id) => change(id, () => ({ trashedAt: null })),
  };
}
