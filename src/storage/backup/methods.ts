/** The store's methods for projects as files. Heavy: it comes when a file is written or read. */
import type { StoreApi } from '../../protocol/api';
import type { BackupStoreApi, ExportRequest } from '../../protocol/backup';
import type { OnProgress } from '../../protocol/progress';
import type { StoreContext } from '../context';
import { invariant } from '../../core/errors';
import { Calls } from './calls';
import { exportTo, planExport } from './export';
import { importFrom, summarise } from './import';
import { blobSink, fileSink } from './sinks';
import { backupStates } from './states';
import { blobSource } from './zip-read';

export type FileMethods = BackupStoreApi & Pick<StoreApi, 'exportProject' | 'importProject'>;

const quiet: OnProgress = () => undefined;

export function fileMethods(context: StoreContext): FileMethods {
  const calls = new Calls();
  return {
    planExport: (request) => planExport(context, request),
    exportArchive: (callId, request, target, onProgress) =>
      calls.run(callId, (call) => {
        const openSink = async () => (target ? fileSink(target) : blobSink());
        return exportTo(context, request, openSink, call, onProgress);
      }),
    readArchive: (file) => summarise(blobSource(file)),
    importArchive: (callId, file, chosen, onProgress) =>
      calls.run(callId, (call) => importFrom(context, blobSource(file), chosen, call, onProgress)),
    cancelArchive: (callId) => Promise.resolve(calls.cancel(callId)),
    backupStates: (only) => backupStates(context, only),

    async exportProject(id, { withData }) {
      const request: ExportRequest = { projects: [id], withData, withTrash: false };
      const { file, contents } = await calls.run(id, (call) =>
        exportTo(context, request, () => Promise.resolve(blobSink()), call, quiet),
      );
      invariant(file, 'a Blob was asked for');
      return { file, contents };
    },

    async importProject(file) {
      const { projects } = await calls.run(crypto.randomUUID(), (call) =>
        importFrom(context, blobSource(file), null, call, quiet),
      );
      const [project] = projects;
      invariant(project, 'a project file has a project');
      return project;
    },
  };
}
