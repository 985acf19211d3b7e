/** Everything that acts on the records of one store: that of the browser, or that of an opened vault. */
import type { StoreApi } from '../protocol/api';
import type { BackupStoreApi } from '../protocol/backup';
import type { ImportStoreApi } from '../protocol/imports';
import { lazyFileMethods } from './backup/lazy';
import { checkpointMethods } from './checkpoints';
import type { StoreContext } from './context';
import { datasetMethods } from './datasets';
import { evaluationMethods } from './evaluations';
import { finishMethods } from './finish-run';
import { importMethods } from './imports';
import { modelMethods } from './models';
import { projectMethods } from './projects';
import { runMethods } from './runs';

export type ScopedMethods = ImportStoreApi &
  BackupStoreApi &
  ReturnType<typeof datasetMethods> &
  ReturnType<typeof projectMethods> &
  ReturnType<typeof runMethods> &
  ReturnType<typeof finishMethods> &
  ReturnType<typeof checkpointMethods> &
  ReturnType<typeof modelMethods> &
  ReturnType<typeof evaluationMethods> &
  Pick<StoreApi, 'putChunk' | 'getChunk' | 'discardChunks' | 'exportProject' | 'importProject'>;

export function scopedMethods(context: StoreContext): ScopedMethods {
  return {
    async putChunk(bytes, importId) {
      context.assertWritable();
      return context.keepBytes(bytes, importId);
    },
    getChunk: (ref) => context.chunks.get(ref),
    async discardChunks(refs, importId) {
      context.assertWritable();
      await context.discard(refs, importId);
    },
    ...importMethods(context),
    ...datasetMethods(context),
    ...projectMethods(context),
    ...runMethods(context),
    ...finishMethods(context),
    ...checkpointMethods(context),
    ...modelMethods(context),
    ...evaluationMethods(context),
    ...lazyFileMethods(context),
  };
}
