/** What is only here: every project against the stamp of its last backup. */
import { BACKUP_PREFIX, readBackupStamp } from '../../protocol/backup';
import type { BackupStamp, BackupState } from '../../protocol/backup';
import type { Id, Timestamp } from '../../protocol/entities';
import type { VaultRow } from '../../protocol/vault';
import type { StoreContext } from '../context';
import { isActive } from '../run-status';
import { fingerprint, lockedFingerprint } from './fingerprint';
import type { Summarised } from './fingerprint';

export async function backupStates(
  context: StoreContext,
  only?: readonly Id[],
): Promise<readonly BackupState[]> {
  const asked = (id: Id) => only?.includes(id) ?? true;
  const { projects, settings, vaults } = context.core;
  const tables = [projects, settings, vaults];
  const [ids, stamps, locks] = await context.read('the projects', tables, async () => {
    const kept = await projects
      .filter(({ trashedAt, temporary }) => trashedAt === null && !temporary)
      .primaryKeys();
    const rows = await settings.where('key').startsWith(BACKUP_PREFIX).toArray();
    const stamped = new Map(rows.map((row) => [row.key, readBackupStamp(row.value)]));
    return [kept, stamped, await vaults.toArray()] as const;
  });
  const states: BackupState[] = [];
  for (const id of ids.filter(asked)) {
    const records = await readSummary(context, id);
    if (records) states.push(await stateOf(records, stamps.get(BACKUP_PREFIX + id) ?? null));
  }
  for (const lock of locks.filter(({ projectId }) => asked(projectId))) {
    states.push(
      await lockedState(context, lock, stamps.get(BACKUP_PREFIX + lock.projectId) ?? null),
    );
  }
  return states;
}

/** A locked project tells whether it changed, and nothing else. */
async function lockedState(
  context: StoreContext,
  { projectId, label, createdAt }: VaultRow,
  stamp: BackupStamp | null,
): Promise<BackupState> {
  const print = await lockedFingerprint(context, projectId, label);
  return {
    ...{ projectId, name: label, revision: 0, fingerprint: print, stamp },
    ...{ changed: print !== stamp?.fingerprint, runs: 0, models: 0, running: false, locked: true },
    since: stamp?.at ?? createdAt,
  };
}

async function readSummary(context: StoreContext, id: Id): Promise<Summarised | null> {
  const { projects, runs, models, evaluations } = context.core;
  return context.read('a project', [projects, runs, models, evaluations], async () => {
    const project = await projects.get(id);
    if (!project) return null;
    return {
      project,
      runs: await runs.where({ projectId: id }).sortBy('number'),
      models: await models.where({ projectId: id }).sortBy('number'),
      evaluations: await evaluations.where({ projectId: id }).sortBy('createdAt'),
    };
  });
}

async function stateOf(records: Summarised, stamp: BackupStamp | null): Promise<BackupState> {
  const { project } = records;
  const print = await fingerprint(records);
  const changed = print !== stamp?.fingerprint;
  const at = stamp?.at ?? 0;
  const later = <T extends { readonly createdAt: Timestamp }>(rows: readonly T[]) =>
    rows.filter(({ createdAt }) => changed && createdAt > at);
  const runs = later(records.runs);
  const models = later(records.models);
  const times = [...runs, ...models].map(({ createdAt }) => createdAt);
  return {
    projectId: project.id,
    name: project.name,
    revision: project.revision,
    fingerprint: print,
    stamp,
    changed,
    runs: runs.length,
    models: models.length,
    running: records.runs.some(({ status }) => isActive(status)),
    locked: false,
    since: times.length > 0 ? Math.min(...times) : project.updatedAt,
  };
}
