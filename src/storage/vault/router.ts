/**
 * One store out of several: each call goes to the opened vault that it is about, and to the open store otherwise. What
 * asks for everything gets both; a vault that is closed answers with `vault/closed`.
 */
import { AppError } from '../../core/errors';
import type { Id } from '../../protocol/entities';
import type { TabsStoreApi } from '../../protocol/tabs';
import type { ScopedMethods } from '../scoped';
import { closedVault } from './errors';
import type { Vaults } from './vaults';

type Holding = Parameters<Vaults['holding']>[0];

export function routedMethods(open: ScopedMethods, vaults: Vaults): ScopedMethods {
  const ofProject = (id: Id): ScopedMethods => vaults.get(id)?.methods ?? open;
  const of = async (table: Holding, id: Id): Promise<ScopedMethods> =>
    (await vaults.holding(table, id))?.methods ?? open;
  const ofImport = (id: Id | undefined): ScopedMethods => vaults.ofImport(id)?.methods ?? open;
  const all = async <T>(ask: (methods: ScopedMethods) => Promise<readonly T[]>): Promise<T[]> => {
    const answers = [await ask(open)];
    for (const { methods } of vaults.opened) answers.push(await ask(methods));
    return answers.flat();
  };

  return {
    ...open,

    async beginImport(start) {
      if (start.into === undefined) return open.beginImport(start);
      const importId = await vaults.opening(start.into).methods.beginImport(start);
      vaults.bindImport(importId, start.into);
      return importId;
    },
    async discardImport(id) {
      const left = vaults.ofImport(id) ?? (await vaults.holding('imports', id));
      return (left?.methods ?? open).discardImport(id);
    },
    async listInterruptedImports() {
      const rows = await all((methods) => methods.listInterruptedImports());
      return rows.sort((a, b) => b.startedAt - a.startedAt);
    },
    putChunk: async (bytes, importId) => ofImport(importId).putChunk(bytes, importId),
    discardChunks: async (refs, importId) => ofImport(importId).discardChunks(refs, importId),
    putDataset: async (manifest, importId) => ofImport(importId).putDataset(manifest, importId),
    getChunk: async (ref) => ((await vaults.ofChunk(ref))?.methods ?? open).getChunk(ref),
    getDataset: async (id) => (await of('datasets', id)).getDataset(id),
    async listDatasets() {
      const rows = await all((methods) => methods.listDatasets());
      return [...new Map(rows.map((row) => [row.id, row])).values()];
    },

    async createProject(draft, into) {
      return (into === undefined ? open : vaults.opening(into).methods).createProject(draft);
    },
    editProject: async (id, ...rest) => ofProject(id).editProject(id, ...rest),
    async getProject(id) {
      try {
        return await ofProject(id).getProject(id);
      } catch (error) {
        const absent = error instanceof AppError && error.code === 'store/not-found';
        if (absent && (await vaults.row(id))) throw closedVault(id);
        throw error;
      }
    },
    async listProjects(options) {
      const rows = await all((methods) => methods.listProjects(options));
      return rows.sort((a, b) => b.updatedAt - a.updatedAt);
    },
    async duplicateProject(id) {
      if (!vaults.get(id)) return open.duplicateProject(id);
      throw new AppError(
        'vault/one-project',
        'A lock holds one project, so a locked project has no copy beside it. Save it as a file and open that.',
        { id },
      );
    },
    describeDeletion: async (id) => ofProject(id).describeDeletion(id),
    trashProject: async (id) => ofProject(id).trashProject(id),
    restoreProject: async (id) => ofProject(id).restoreProject(id),
    openTest: async (id) => ofProject(id).openTest(id),

    createRun: async (run) => ofProject(run.projectId).createRun(run),
    updateRun: async (id, change) => (await of('runs', id)).updateRun(id, change),
    finishRun: async (id, ...rest) => (await of('runs', id)).finishRun(id, ...rest),
    getRun: async (id) => (await of('runs', id)).getRun(id),
    listRuns: async (id) => ofProject(id).listRuns(id),
    putCheckpoint: async (draft, ...rest) =>
      (await of('runs', draft.runId)).putCheckpoint(draft, ...rest),
    getCheckpoint: async (id) => (await of('runs', id)).getCheckpoint(id),

    putModel: async (draft, ...rest) => ofProject(draft.projectId).putModel(draft, ...rest),
    getModel: async (id) => (await of('models', id)).getModel(id),
    listModels: async (id) => ofProject(id).listModels(id),
    setStage: async (id, stage) => (await of('models', id)).setStage(id, stage),
    renameModel: async (id, name) => (await of('models', id)).renameModel(id, name),
    trashModel: async (id) => (await of('models', id)).trashModel(id),
    restoreModel: async (id) => (await of('models', id)).restoreModel(id),

    putEvaluation: async (draft, rows) => ofProject(draft.projectId).putEvaluation(draft, rows),
    listEvaluations: async (id) => ofProject(id).listEvaluations(id),
    getPredictions: async (id) => (await of('evaluations', id)).getPredictions(id),

    exportProject: async (id, options) => ofProject(id).exportProject(id, options),
    planExport: async (request) => ofProject(single(request.projects)).planExport(request),
    exportArchive: async (callId, request, ...rest) =>
      ofProject(single(request.projects)).exportArchive(callId, request, ...rest),
    async cancelArchive(callId) {
      for (const { methods } of vaults.opened) await methods.cancelArchive(callId);
      await open.cancelArchive(callId);
    },
  };
}

/** A file of one project may be that of an opened vault; an archive takes vaults sealed, as they lie. */
function single(projects: readonly Id[] | 'all'): Id {
  return projects !== 'all' && projects.length === 1 ? (projects[0] ?? '') : '';
}

/** A claim on a locked project counts in the open; what the vault decrypted must then be what is on the disk. */
export function routedTabs(open: TabsStoreApi, vaults: Vaults): TabsStoreApi {
  return {
    async claimProject(id, options) {
      const claimed = await open.claimProject(id, options);
      await vaults.get(id)?.context.claimed(claimed.epoch);
      return claimed;
    },
    releaseProject: (id) => open.releaseProject(id),
  };
}
