/** Schemas and formats of project files come when a file is written or read, not with the first screen. */
import type { StoreContext } from '../context';
import type { FileMethods } from './methods';

export function lazyFileMethods(context: StoreContext): FileMethods {
  let loaded: Promise<FileMethods> | null = null;
  // One for all calls: it knows which of them are under way.
  const methods = () => (loaded ??= import('./methods').then((all) => all.fileMethods(context)));
  return {
    planExport: async (request) => (await methods()).planExport(request),
    exportArchive: async (...args) => (await methods()).exportArchive(...args),
    readArchive: async (file) => (await methods()).readArchive(file),
    importArchive: async (...args) => (await methods()).importArchive(...args),
    // Nothing is under way in what was never loaded.
    cancelArchive: async (callId) => (await loaded)?.cancelArchive(callId),
    // Asked at every start, and small.
    backupStates: async (only) => (await import('./states')).backupStates(context, only),
    exportProject: async (...args) => (await methods()).exportProject(...args),
    importProject: async (file) => (await methods()).importProject(file),
  };
}
