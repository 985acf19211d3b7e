/** Sealed records as they lie on the disk, without a key, and as many of them as the browser can bring. */
import { AppError } from '../../core/errors';
import type { Id } from '../../protocol/entities';
import { guarded } from '../errors';
import type { CoreDatabase, SealedRow } from '../schema';

/** All that can be read of a project, and the names of what cannot: a file of the profile may be gone. */
export async function readRows(
  { sealed }: Pick<CoreDatabase, 'sealed'>,
  projectId: Id,
): Promise<{ readonly rows: readonly SealedRow[]; readonly unreadable: readonly string[] }> {
  const what = 'the locked project';
  try {
    const rows = await guarded(what, () => sealed.where({ projectId }).toArray());
    return { rows, unreadable: [] };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
  }
  const keys = await guarded(what, () => sealed.where({ projectId }).primaryKeys());
  const rows: SealedRow[] = [];
  const unreadable: string[] = [];
  for (const key of keys) {
    try {
      const row = await guarded(what, () => sealed.get(key));
      if (row) rows.push(row);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      unreadable.push(key[1]);
    }
  }
  return { rows, unreadable };
}

/** It is there, and the browser cannot bring it. */
export function isUnreadable(error: unknown): boolean {
  return error instanceof AppError && error.code === 'store/failed';
}
