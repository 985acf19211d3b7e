/**
 * A project into a lock and out of it. First everything is there twice; then one strict transaction makes the other
 * form the one that counts and takes the records of the former with it. Its bytes go right after.
 */
import { AppError } from '../../core/errors';
import type {
  ChunkRef,
  DatasetVersion,
  Id,
  ModelVersion,
  Project,
  Run,
} from '../../protocol/entities';
import { leaves } from '../chunks';
import type { StoreContext } from '../context';
import { deleteRecords } from '../deletion';
import { found, guarded, notFound } from '../errors';
import { isActive } from '../run-status';
import type { CheckpointRow, CoreDatabase, DatasetLink, EvaluationRow } from '../schema';
import type { VaultContext } from './context';
import { SEALED_TABLES } from './image';
import type { SealedTable } from './image';
import { createLock, openLock } from './keys';
import { chunksOf } from './named';
import { freshParameters } from './passphrase';
import { placesOf } from './places';
import { damagedInside } from './errors';
import { undoHalfLock } from './half';
import type { Vaults } from './vaults';
import { unreadableRecord } from '../../protocol/storage';

export const IDLE_MINUTES = 15;

export async function lockProject(
  vaults: Vaults,
  id: Id,
  label: string,
  passphrase: string,
): Promise<{ readonly recoveryKey: string; readonly stillOpen: readonly string[] }> {
  const { outside } = vaults;
  return outside.whileHeld(id, Symbol('lock'), async () => {
    const [{ records, stillOpen }, [unreadable]] = await outside.unreadable.during(() =>
      readProject(outside, id),
    );
    // The lock would leave it behind, and then the open form goes.
    if (unreadable) throw unreadableRecord(unreadable);
    const about = { projectId: id, label, createdAt: outside.now(), idleMinutes: IDLE_MINUTES };
    const lock = await createLock(about, passphrase, freshParameters(vaults.cost));
    const { vaults: table } = outside.core;
    await outside.writeProject(id, 'the lock', [table], () => table.put(lock.row));
    const vault = await vaults.enter(lock.keys);
    try {
      const refs = chunksOf(records);
      await copyChunks(refs, outside, vault.context);
      await vault.context.publish('The locked project', refs, () =>
        vault.context.writeProject(id, 'the locked project', vault.context.core.tables, () =>
          addAll(vault.context.core, records),
        ),
      );
      await outside.writeProject(id, 'the open form', outside.core.tables, () =>
        deleteRecords(outside, id),
      );
    } catch (error) {
      vault.context.close();
      await outside.tidy(undoHalfLock(outside, id));
      throw error;
    }
    vaults.admit(vault);
    await outside.tidy(clearOpenForm(outside));
    return { recoveryKey: lock.recoveryKey, stillOpen };
  });
}

/** The project is in the open again, and the lock is gone. */
export async function removeLock(vaults: Vaults, id: Id, passphrase: string): Promise<Project> {
  const { outside } = vaults;
  const { context } = vaults.opening(id);
  const row = found(await vaults.row(id), 'locked project', id);
  await openLock(row, { passphrase });
  const { damagedRecords } = context;
  // What does not open now may once a backup is compared with it; outside the lock nothing would be left of it.
  if (damagedRecords.length > 0) throw damagedInside(damagedRecords);
  return outside.whileHeld(id, Symbol('lock'), async () => {
    const { records } = await readProject(context, id);
    const refs = chunksOf(records);
    await copyChunks(refs, context, outside);
    await outside.publish('The project', refs, () =>
      outside.writeProject(id, 'the project', outside.core.tables, async () => {
        await addAll(outside.core, records);
        await outside.core.sealed.where({ projectId: id }).delete();
        await outside.core.vaults.delete(id);
      }),
    );
    vaults.leave(id);
    await outside.tidy(outside.chunks.removeUnder(placesOf(id)));
    return records.project;
  });
}

interface Records {
  readonly project: Project;
  readonly datasets: readonly DatasetVersion[];
  readonly links: readonly DatasetLink[];
  readonly runs: readonly Run[];
  readonly models: readonly ModelVersion[];
  readonly evaluations: readonly EvaluationRow[];
  readonly checkpoints: readonly CheckpointRow[];
}

/** All that is the project's, and what of its data other projects use too. */
async function readProject(
  context: StoreContext,
  id: Id,
): Promise<{ readonly records: Records; readonly stillOpen: readonly string[] }> {
  const { core } = context;
  return context.read('the project', core.tables, async () => {
    const project = await core.projects.get(id);
    if (project === undefined) throw notFound('project', id);
    const links = await core.links.where({ projectId: id }).toArray();
    const runs = await core.runs.where({ projectId: id }).toArray();
    if (runs.some((run) => isActive(run.status))) throw underWay(id);
    const datasets = await core.datasets.bulkGet(links.map((link) => link.datasetId));
    const checkpoints = await core.checkpoints.bulkGet(runs.map((run) => run.id));
    const stillOpen: string[] = [];
    for (const dataset of datasets) {
      if (dataset === undefined) continue;
      const users = await core.links.where({ datasetId: dataset.id }).count();
      if (users > 1) stillOpen.push(dataset.manifest.name);
    }
    const records = {
      project,
      links,
      runs,
      datasets: datasets.filter((dataset) => dataset !== undefined),
      models: await core.models.where({ projectId: id }).toArray(),
      evaluations: await core.evaluations.where({ projectId: id }).toArray(),
      checkpoints: checkpoints.filter((row) => row !== undefined).map(withCurrentSlot),
    };
    return { records, stillOpen };
  });
}

/** The slot that does not count may be half overwritten. */
function withCurrentSlot({ runId, current, slots }: CheckpointRow): CheckpointRow {
  const checkpoint = slots[current];
  return { runId, current, slots: checkpoint ? { [current]: checkpoint } : {} };
}

async function copyChunks(
  refs: readonly ChunkRef[],
  from: StoreContext | VaultContext,
  to: StoreContext | VaultContext,
): Promise<void> {
  const unique = new Map(leaves(refs).map((ref) => [ref.storageKey, ref]));
  for (const ref of unique.values()) await to.chunks.adopt(ref, await from.chunks.get(ref));
}

/** Inside a transaction. Data that is there already, because other projects use it too, is the same. */
async function addAll(core: CoreDatabase, { project, ...records }: Records): Promise<void> {
  await core.projects.put(project);
  const rows: Readonly<Record<Exclude<SealedTable, 'projects' | 'imports'>, readonly unknown[]>> =
    records;
  for (const name of SEALED_TABLES) {
    if (name !== 'projects' && name !== 'imports') await core.table(name).bulkPut([...rows[name]]);
  }
}

/** The bytes that nothing names any more, and what frozen bodies answered to rows: nobody knows to which. */
async function clearOpenForm(outside: StoreContext): Promise<void> {
  const { features, featureInfo } = outside.cache;
  await guarded('the open form', () => Promise.all([features.clear(), featureInfo.clear()]));
  await outside.whileNotCollecting('exclusive', () => outside.sweep(false));
}

function underWay(projectId: Id): AppError {
  return new AppError(
    'vault/run-under-way',
    'A run of this project is going on. Wait for its end or stop it, then lock or unlock the project for good.',
    { projectId },
  );
}
