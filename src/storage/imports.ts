/**
 * The journal of imports. An entry is written before the first chunk and goes in the transaction that writes the
 * manifest, so whatever moment a crash takes, the dataset is whole or the journal says what is missing. While a tab
 * is at work on an import it holds a lock; an entry without one was interrupted.
 */
import { AppError } from '../core/errors';
import type { Id, Timestamp } from '../protocol/entities';
import type { ImportStart, ImportStoreApi, InterruptedImport } from '../protocol/imports';
import { isHeld } from './chunks';
import type { StoreContext } from './context';
import type { ImportRow } from './schema';

/** How long an interrupted import may wait for its file. */
export const IMPORT_DAYS = 7;
const IMPORT_MS = IMPORT_DAYS * 24 * 60 * 60 * 1000;
/** How long the locks of a page that is being closed may outlive it. */
const DYING_MS = 150;

export function importMethods(context: StoreContext): ImportStoreApi {
  const { imports } = context.core;
  return {
    async beginImport({ source, bytes, into }: ImportStart) {
      const id: Id = crypto.randomUUID();
      await context.importLocks.take(id);
      try {
        const row: ImportRow = {
          id,
          startedAt: context.now(),
          source,
          bytes,
          ...(into !== undefined && { into }),
        };
        await context.write('the journal of the import', [imports], () => imports.add(row));
      } catch (error) {
        context.importLocks.release(id);
        throw error;
      }
      return id;
    },

    async discardImport(id) {
      context.assertWritable();
      return context.whileNotCollecting('exclusive', async () => {
        // What was interrupted more than once is one import to the person.
        const rows = await interruptedRows(context);
        const own = rows.find((row) => row.id === id);
        const ids = own ? rows.filter((row) => sameFile(row, own)).map((row) => row.id) : [id];
        await context.write('the journal of the import', [imports], () => imports.bulkDelete(ids));
        context.importLocks.release(id);
        await context.chunks.releaseHeld(new Set(ids));
        return { bytes: await context.sweep(false) };
      });
    },

    async listInterruptedImports() {
      const rows = await context.read('the imports', [imports], () => imports.toArray());
      return describe(context, await context.importLocks.interrupted(rows));
    },
  };
}

/**
 * Inside the transaction that writes the manifest: its journal is closed. So is that of a crashed import of the same
 * file, which has now been made good.
 */
export async function closeImport(
  context: StoreContext,
  id: Id,
  interrupted: readonly ImportRow[],
): Promise<readonly Id[]> {
  const { imports } = context.core;
  const own = await imports.get(id);
  if (own === undefined) {
    throw new AppError(
      'store/import-closed',
      'This import was given up in another tab, and nothing of it was kept. Choose the file again.',
      { id },
    );
  }
  const closed = [id, ...interrupted.filter((row) => sameFile(row, own)).map((row) => row.id)];
  await imports.bulkDelete(closed);
  return closed;
}

/** Entries that no living tab is at work on; before the transaction, because locks are not the database. */
export async function interruptedRows(context: StoreContext): Promise<readonly ImportRow[]> {
  const { imports } = context.core;
  const rows = await context.read('the imports', [imports], () => imports.toArray());
  return context.importLocks.interrupted(rows);
}

function sameFile(a: ImportRow, b: ImportRow): boolean {
  return a.source.kind === b.source.kind && a.source.name === b.source.name && a.bytes === b.bytes;
}

/** At the start. After a reload the former page's locks may outlive it for a moment: looks again, twice. */
export async function interruptedAtStart(
  context: StoreContext,
): Promise<readonly InterruptedImport[]> {
  const { imports } = context.core;
  const rows = await context.read('the imports', [imports], () => imports.toArray());
  let interrupted = await context.importLocks.interrupted(rows);
  for (let look = 0; look < 2 && interrupted.length < rows.length; look++) {
    await new Promise((resolve) => setTimeout(resolve, DYING_MS));
    interrupted = await context.importLocks.interrupted(rows);
  }
  return describe(context, interrupted);
}

/** One for each file, the newest first, with all that crashed attempts at it have left. */
async function describe(
  context: StoreContext,
  rows: readonly ImportRow[],
): Promise<readonly InterruptedImport[]> {
  if (rows.length === 0) return [];
  const infos = await context.chunks.list();
  const newest = rows.toSorted((a, b) => b.startedAt - a.startedAt);
  return newest
    .filter((row, index) => newest.findIndex((other) => sameFile(other, row)) === index)
    .map((row): InterruptedImport => {
      const ids = new Set(rows.filter((other) => sameFile(other, row)).map(({ id }) => id));
      const left = infos.filter((info) => isHeld(info, ids));
      return { ...row, kept: left.reduce((sum, info) => sum + info.bytes, 0) };
    });
}

/** With no other tab: what nobody took up within a week is given up. A sweep follows. */
export async function expireImports(context: StoreContext): Promise<void> {
  const { imports } = context.core;
  const old = (since: Timestamp) => Math.abs(context.now() - since) > IMPORT_MS;
  const rows = await context.read('the imports', [imports], () => imports.toArray());
  const expired = rows.filter(({ startedAt }) => old(startedAt)).map(({ id }) => id);
  if (expired.length === 0) return;
  await context.write('the clearing up', [imports], () => imports.bulkDelete(expired));
}
