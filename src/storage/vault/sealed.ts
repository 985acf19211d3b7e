/**
 * A locked project as ciphertext, open or closed: what a sealed backup carries. No key is needed, and nothing in it can
 * be read without the passphrase or recovery key that were right when it was made.
 */
import { AppError } from '../../core/errors';
import type { Id } from '../../protocol/entities';
import type { VaultRow } from '../../protocol/vault';
import type { StoreContext } from '../context';
import { guarded, notFound } from '../errors';
import { SEAL_BYTES } from './envelope';
import { tampered } from './errors';
import { checkFormat } from './keys';
import { checkParameters } from './passphrase';
import { placesOf, vaultOfPlace } from './places';
import { isUnreadable, readRows } from './reading';

export interface SealedProject {
  readonly vault: VaultRow;
  readonly rows: readonly { readonly key: string; readonly bytes: ArrayBuffer }[];
  /** Names of records that are here and cannot be read. */
  readonly unreadable: readonly string[];
  /** Sealed chunks by where they lie. */
  readonly chunks: readonly { readonly storageKey: string; readonly bytes: number }[];
}

/** As they lie on the disk. Chunks are read one by one with `readSealedChunk`. */
export async function readSealed(
  { core, cache }: StoreContext,
  projectId: Id,
): Promise<SealedProject> {
  const { rows, unreadable } = await readRows(core, projectId);
  const vault = await guarded('the lock', () => core.vaults.get(projectId));
  if (vault === undefined) throw notFound('locked project', projectId);
  const infos = await guarded('the list of chunks', () =>
    cache.chunkInfo.where('storageKey').startsWith(placesOf(projectId)).toArray(),
  );
  return {
    vault,
    rows: rows.map(({ key, bytes }) => ({ key, bytes })),
    unreadable,
    chunks: infos.map(({ storageKey, bytes }) => ({ storageKey, bytes })),
  };
}

/** null where there is none, or none that can be read. */
export async function readSealedChunk(
  { chunks }: StoreContext,
  storageKey: string,
): Promise<ArrayBuffer | null> {
  try {
    return await chunks.lying(storageKey);
  } catch (error) {
    if (isUnreadable(error)) return null;
    throw error;
  }
}

/** Whether its journal says that it is there. */
export async function isListed({ cache }: StoreContext, storageKey: string): Promise<boolean> {
  return (await guarded('the list of chunks', () => cache.chunkInfo.get(storageKey))) !== undefined;
}

/** Never overwrites: `vault/exists` where the project is here, locked or not. All of it, or nothing. */
export async function restoreSealed(
  context: StoreContext,
  { vault, rows, chunks }: Omit<SealedProject, 'unreadable'>,
  readChunk: (storageKey: string) => Promise<ArrayBuffer>,
): Promise<void> {
  context.assertWritable();
  checkFormat(vault);
  checkParameters(vault.passphrase);
  const { projectId } = vault;
  const { core, cache } = context;
  await refuseExisting(context, projectId);
  // While nothing names the chunks the collector would take them.
  await context.whileNotCollecting('shared', async () => {
    for (const { storageKey, bytes } of chunks) {
      const sealed = await readChunk(storageKey);
      const own = vaultOfPlace(storageKey) === projectId;
      if (!own || sealed.byteLength !== bytes || bytes < SEAL_BYTES) {
        throw tampered('a chunk of data', { storageKey });
      }
      await guarded('a chunk of data', () =>
        cache.transaction('rw', cache.chunks, cache.chunkInfo, async () => {
          await cache.chunks.put({ storageKey, bytes: sealed });
          await cache.chunkInfo.put({ storageKey, bytes, pendingSince: context.now() });
        }),
      );
    }
    const { vaults, sealed, projects, writers } = core;
    await context.write('the locked project', [vaults, sealed, projects, writers], async () => {
      if ((await vaults.get(projectId)) ?? (await projects.get(projectId))) throw exists(projectId);
      await vaults.add(vault);
      await sealed.bulkAdd(rows.map(({ key, bytes }) => ({ projectId, key, bytes })));
      // From the clock, as for every new project: what was erased and comes back counts on.
      const now = context.now();
      await writers.put({ projectId, epoch: now, since: now });
    });
  });
}

async function refuseExisting({ core }: StoreContext, projectId: Id): Promise<void> {
  const { vaults, projects } = core;
  const here = await guarded('the projects', () =>
    core.transaction(
      'r',
      [vaults, projects],
      async () => (await vaults.get(projectId)) ?? (await projects.get(projectId)),
    ),
  );
  if (here) throw exists(projectId);
}

function exists(projectId: Id): AppError {
  return new AppError(
    'vault/exists',
    'This locked project is in this browser already, and nothing of it was changed. Erase it first if the file is to take its place.',
    { projectId },
  );
}
