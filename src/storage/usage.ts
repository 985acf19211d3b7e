/** What lies in the store, by project and kind; what of it can go; and the room that is kept back for a full disk. */
import type { ChunkRef, Id } from '../protocol/entities';
import type {
  ProjectStorage,
  Reclaimable,
  StorageApi,
  StorageReport,
  StorageShares,
} from '../protocol/storage';
import { freeBallast } from './ballast';
import { isHeld, leaves } from './chunks';
import type { StoreContext } from './context';
import { eraseProject } from './deletion';
import { guarded } from './errors';
import { importMethods } from './imports';
import {
  checkpointPrefix,
  evaluationChunks,
  modelChunks,
  readManifests,
  referencedKeys,
  storedDatasetChunks,
} from './references';
import { deleteCheckpointBytes } from './checkpoints';

export type UsageMethods = Pick<StorageApi, 'describeStorage' | 'freeStorage'>;

export function usageMethods(context: StoreContext): UsageMethods {
  const { core, cache } = context;
  const imports = importMethods(context);

  async function storedBytes(): Promise<number> {
    const chunks = await context.chunks.list();
    const features = await guarded('the list of features', () => cache.featureInfo.toArray());
    return (
      chunks.reduce((sum, { bytes }) => sum + bytes, 0) +
      features.reduce((sum, { size }) => sum + size, 0)
    );
  }

  async function failedRuns(): Promise<readonly Id[]> {
    return context.read('the runs', [core.runs], () =>
      core.runs.where({ status: 'failed' }).primaryKeys(),
    );
  }

  const free: Readonly<Record<keyof Reclaimable, () => Promise<unknown>>> = {
    async trash() {
      const rows = await context.read('the projects', [core.projects], () =>
        core.projects.toArray(),
      );
      for (const { id, trashedAt } of rows) if (trashedAt !== null) await eraseProject(context, id);
    },
    features: () => freeBallast(context),
    garbage: () => context.whileNotCollecting('exclusive', () => context.sweep(false)),
    async imports() {
      for (const { id } of await imports.listInterruptedImports()) await imports.discardImport(id);
    },
    async checkpoints() {
      for (const id of await failedRuns()) {
        await context.write('the checkpoint', [core.checkpoints], () =>
          core.checkpoints.delete(id),
        );
        await deleteCheckpointBytes(context, id);
      }
    },
  };

  return {
    describeStorage: () => describeStorage(context, failedRuns),
    async freeStorage(kinds) {
      context.assertWritable();
      const before = await storedBytes();
      for (const kind of kinds) await free[kind]();
      return { before, after: await storedBytes() };
    },
  };
}

async function describeStorage(
  context: StoreContext,
  failedRuns: () => Promise<readonly Id[]>,
): Promise<StorageReport> {
  const { core, cache } = context;
  const all = await context.read('what is stored', core.tables, () => readManifests(core));
  const { projects, links, runs, models, evaluations } = await context.read(
    'what is stored',
    core.tables,
    async () => ({
      projects: await core.projects.toArray(),
      links: await core.links.toArray(),
      runs: await core.runs.toArray(),
      models: await core.models.toArray(),
      evaluations: await core.evaluations.toArray(),
    }),
  );
  const infos = await context.chunks.list();
  const sum = (keys: Iterable<string>) => {
    let bytes = 0;
    for (const key of new Set(keys)) bytes += sizes.get(key) ?? 0;
    return bytes;
  };
  const sizes = new Map(infos.map(({ storageKey, bytes }) => [storageKey, bytes]));
  const places = (refs: readonly ChunkRef[]) => leaves(refs).map(({ storageKey }) => storageKey);
  const checkpointsOf = (ids: readonly Id[]) =>
    [...sizes.keys()].filter((key) => ids.some((id) => key.startsWith(checkpointPrefix(id))));

  const users = new Map<string, Set<Id>>();
  const described = projects.map((project): { storage: ProjectStorage; keys: string[] } => {
    const inProject = (row: { readonly projectId: Id }) => row.projectId === project.id;
    const datasetIds = new Set(links.filter(inProject).map(({ datasetId }) => datasetId));
    const kinds = {
      datasets: all.datasets
        .filter(({ id }) => datasetIds.has(id))
        .flatMap((row) => places(storedDatasetChunks(row))),
      models: models.filter(inProject).flatMap((row) => places(modelChunks(row))),
      checkpoints: checkpointsOf(runs.filter(inProject).map(({ id }) => id)),
      evaluations: evaluations.filter(inProject).flatMap((row) => places(evaluationChunks(row))),
    };
    const keys = Object.values(kinds).flat();
    for (const key of keys) users.set(key, (users.get(key) ?? new Set()).add(project.id));
    const shares = Object.fromEntries(
      Object.entries(kinds).map(([kind, list]) => [kind, sum(list)]),
    ) as Record<keyof StorageShares, number>;
    const { id, name, trashedAt } = project;
    const storage = { id, name, trashed: trashedAt !== null, ...shares, total: sum(keys), own: 0 };
    return { storage, keys };
  });
  const pretrained = all.pretrained.flatMap(({ chunks }) => places(chunks));
  const withOwn = described.map(({ storage, keys }) => {
    const own = keys.filter((key) => users.get(key)?.size === 1 && !pretrained.includes(key));
    return { ...storage, own: sum(own) };
  });
  const named = referencedKeys(all);
  const vaults = await guarded('what is stored', () => core.vaults.toCollection().primaryKeys());
  const open = new Set(
    await guarded('the imports', () => core.imports.toCollection().primaryKeys()),
  );
  const loose = infos.filter(
    ({ storageKey }) => !named.has(storageKey) && !vaults.some((id) => storageKey.includes(id)),
  );
  const features = await guarded('the list of features', () => cache.featureInfo.toArray());
  return {
    projects: withOwn.sort((a, b) => b.total - a.total),
    pretrained: sum(pretrained),
    reclaimable: {
      trash: withOwn.filter(({ trashed }) => trashed).reduce((bytes, { own }) => bytes + own, 0),
      features: features.reduce((bytes, { size }) => bytes + size, 0),
      garbage: loose
        .filter((info) => !isHeld(info, open) && !context.chunks.inGrace(info))
        .reduce((bytes, info) => bytes + info.bytes, 0),
      imports: loose
        .filter((info) => isHeld(info, open))
        .reduce((bytes, info) => bytes + info.bytes, 0),
      checkpoints: sum(checkpointsOf(await failedRuns())),
    },
  };
}
