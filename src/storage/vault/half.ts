/** What a crash leaves between the two forms of a project: while the open one is there, it counts. */
import type { Id } from '../../protocol/entities';
import type { StoreContext } from '../context';
import { placesOf } from './places';

/** Only where no other tab can be in the middle of it. Their chunks are garbage then. */
export async function undoHalfLocks(context: StoreContext): Promise<void> {
  const { vaults, projects } = context.core;
  const half = await context.read('the locks', [vaults, projects], async () => {
    const ids = await vaults.toCollection().primaryKeys();
    const rows = await projects.bulkGet(ids);
    return ids.filter((_, index) => rows[index] !== undefined);
  });
  for (const projectId of half) await undoHalfLock(context, projectId);
}

export async function undoHalfLock(context: StoreContext, projectId: Id): Promise<void> {
  const { vaults, projects, sealed } = context.core;
  const undone = await context.write('the lock', [vaults, projects, sealed], async () => {
    if ((await projects.get(projectId)) === undefined) return false;
    await sealed.where({ projectId }).delete();
    await vaults.delete(projectId);
    return true;
  });
  if (undone) await context.chunks.removeUnder(placesOf(projectId));
}
