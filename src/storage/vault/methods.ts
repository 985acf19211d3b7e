/** What a person does with locks. Stretching a passphrase takes its time, here in the store's worker. */
import { AppError } from '../../core/errors';
import type { Id } from '../../protocol/entities';
import type { VaultRow, VaultStoreApi } from '../../protocol/vault';
import { found } from '../errors';
import { expireImports } from '../imports';
import { isActive } from '../run-status';
import { listInterrupted } from '../runs';
import type { VaultContext } from './context';
import { createLock, openLock, rewrapPassphrase, rewrapRecovery } from './keys';
import { IDLE_MINUTES, lockProject, removeLock } from './moving';
import { freshParameters } from './passphrase';
import { placesOf } from './places';
import type { Vaults } from './vaults';

export function vaultMethods(vaults: Vaults): Omit<VaultStoreApi, 'listVaults'> {
  const { outside } = vaults;

  const rowOf = async (id: Id): Promise<VaultRow> =>
    found(await vaults.row(id), 'locked project', id);

  async function save(row: VaultRow): Promise<void> {
    const { vaults: table } = outside.core;
    await outside.writeProject(row.projectId, 'the lock', [table], () => table.put(row));
  }

  return {
    async createVault(label, passphrase) {
      outside.assertWritable();
      refuseEmpty(passphrase);
      const projectId: Id = crypto.randomUUID();
      const about = { projectId, label, createdAt: outside.now(), idleMinutes: IDLE_MINUTES };
      const { row, keys, recoveryKey } = await createLock(
        about,
        passphrase,
        freshParameters(vaults.cost),
      );
      const { vaults: table } = outside.core;
      await outside.writeNewProject(projectId, 'the lock', [table], () => table.add(row));
      vaults.admit(await vaults.enter(keys));
      return { projectId, recoveryKey };
    },

    async lockProject(id, label, passphrase) {
      outside.assertWritable();
      refuseEmpty(passphrase);
      return lockProject(vaults, id, label, passphrase);
    },

    async unlockVault(projectId, secret) {
      const keys = await openLock(await rowOf(projectId), secret);
      const vault = await vaults.enter(keys);
      vaults.admit(vault);
      const { context } = vault;
      if (!context.readOnly) await context.tidy(recover(context));
      const [project = null] = await context.core.projects.toArray();
      const interrupted = await listInterrupted(context);
      return { project, interrupted, damaged: context.damagedRecords };
    },

    async closeVault(projectId) {
      vaults.leave(projectId);
      outside.claims.drop(projectId);
      return Promise.resolve();
    },

    async changePassphrase(projectId, secret, passphrase) {
      refuseEmpty(passphrase);
      const row = await rowOf(projectId);
      await save(await rewrapPassphrase(row, secret, passphrase, freshParameters(vaults.cost)));
    },

    async renewRecoveryKey(projectId, passphrase) {
      const { row, recoveryKey } = await rewrapRecovery(await rowOf(projectId), { passphrase });
      await save(row);
      return { recoveryKey };
    },

    async editVault(projectId, { label, idleMinutes }) {
      const row = await rowOf(projectId);
      const edited: VaultRow = {
        ...row,
        label: label ?? row.label,
        idleMinutes: idleMinutes ?? row.idleMinutes,
      };
      await save(edited);
      return vaults.info(edited);
    },

    removeLock: (projectId, passphrase) => removeLock(vaults, projectId, passphrase),
    eraseVault: (projectId) => eraseVault(vaults, projectId),
  };
}

/** Open or closed. Returns the bytes freed. */
export async function eraseVault(vaults: Vaults, projectId: Id): Promise<number> {
  const { outside } = vaults;
  const row = found(await vaults.row(projectId), 'locked project', projectId);
  const { bytes } = await vaults.info(row);
  const { core } = outside;
  const tables = [core.vaults, core.sealed];
  await outside.writeProject(projectId, 'the erasure', tables, async () => {
    await core.sealed.where({ projectId }).delete();
    await core.vaults.delete(projectId);
    // A tab that was overtaken finds no epoch at all.
    await core.writers.delete(projectId);
  });
  vaults.leave(projectId);
  outside.claims.drop(projectId);
  await outside.tidy(outside.chunks.removeUnder(placesOf(projectId)));
  return bytes;
}

/** What a crash left of it: runs that nobody is at work on, imports given up long ago, chunks that nothing names. */
async function recover(context: VaultContext): Promise<void> {
  const { runs } = context.core;
  await expireImports(context);
  const all = await context.read('the runs', [runs], () => runs.toArray());
  if (all.some((run) => isActive(run.status))) await interrupt(context);
  await context.whileNotCollecting('exclusive', () => context.sweep(false));
}

/** A new claim finds what was left running, and says so in the records. */
async function interrupt(context: VaultContext): Promise<void> {
  try {
    await context.writeProject(context.projectId, 'the runs', [context.core.runs], () =>
      context.core.runs.count(),
    );
  } catch (error) {
    // Another tab has it open and is at work on them.
    if (!(error instanceof AppError) || error.code !== 'store/elsewhere') throw error;
  }
}

function refuseEmpty(passphrase: string): void {
  if (passphrase !== '') return;
  throw new AppError('vault/empty-passphrase', 'A lock needs a passphrase. Type one.');
}
