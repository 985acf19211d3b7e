/** Projects as files, and when each was last saved outside this browser: what "only here" is told by. */
import type { Id, Project, Timestamp } from './entities';
import type { OnProgress } from './progress';

/** Kept as the setting `backupKey(projectId)`. */
export interface BackupStamp {
  readonly at: Timestamp;
  /** The project's revision then. */
  readonly revision: number;
  /** A file that the person saved, or the folder that backups go to. */
  readonly where: 'file' | 'folder';
  /** Of all records of the project then: another one now means that something is only here. */
  readonly fingerprint: string;
}

export const BACKUP_PREFIX = 'backup/';

export function backupKey(projectId: Id): string {
  return `${BACKUP_PREFIX}${projectId}`;
}

/** The stamp in a setting's value; null where there is none. */
export function readBackupStamp(value: unknown): BackupStamp | null {
  const { at, revision, where, fingerprint } = Object(value) as Partial<BackupStamp>;
  const whole =
    typeof at === 'number' &&
    typeof revision === 'number' &&
    (where === 'file' || where === 'folder') &&
    typeof fingerprint === 'string';
  return whole ? { at, revision, where, fingerprint } : null;
}

/** What to save. One project makes a project file, `all` an archive of everything. */
export interface ExportRequest {
  readonly projects: readonly Id[] | 'all';
  /** Without rows a file holds nothing that a single row could be read from. */
  readonly withData: boolean;
  /** Models in the trash; with `all`, projects in it too. */
  readonly withTrash: boolean;
}

/** What a file would hold, known without reading the data. */
export interface ExportPlan {
  readonly contents: readonly string[];
  /** What will not go along and why, in words. */
  readonly leftOut: readonly string[];
  /** Of the data; the list of it adds little. */
  readonly bytes: number;
}

export interface Exported extends ExportPlan {
  /** null where it went into a file that was named. */
  readonly file: Blob | null;
  /** As they were when they were read; a locked project has no revision that could be told. */
  readonly saved: readonly SavedProject[];
}

export interface SavedProject {
  readonly id: Id;
  readonly revision: number;
  readonly fingerprint: string;
}

/** What a file says that it holds; its list is checked, its data not yet. */
export interface ArchiveSummary {
  readonly kind: 'project' | 'archive';
  readonly bytes: number;
  readonly contents: readonly string[];
  readonly leftOut: readonly string[];
  readonly projects: readonly ArchivedProject[];
}

export interface ArchivedProject {
  readonly id: Id;
  readonly name: string;
  readonly sealed: boolean;
}

export interface Imported {
  readonly projects: readonly Project[];
  /** Locked projects that were put back under their lock. */
  readonly sealed: readonly ArchivedProject[];
  /** What the file lacks, in words. */
  readonly notes: readonly string[];
}

/** A project of this browser, and what of it is nowhere else. */
export interface BackupState {
  readonly projectId: Id;
  readonly name: string;
  readonly revision: number;
  readonly fingerprint: string;
  readonly stamp: BackupStamp | null;
  /** It is not what it was when it was last saved. */
  readonly changed: boolean;
  /** Runs and models since then. */
  readonly runs: number;
  readonly models: number;
  /** A run of it is going on. */
  readonly running: boolean;
  readonly locked: boolean;
  /** Of the first record that is not saved: since when something is only here. */
  readonly since: Timestamp;
}

/** The store worker's part. */
export interface BackupStoreApi {
  planExport(request: ExportRequest): Promise<ExportPlan>;
  /**
   * Chunk by chunk into `target`, which changes only when all is written, or into a Blob. What cannot be read is left
   * out, and the file says so.
   */
  exportArchive(
    callId: string,
    request: ExportRequest,
    target: FileSystemFileHandle | null,
    onProgress: OnProgress,
  ): Promise<Exported>;
  readArchive(file: Blob): Promise<ArchiveSummary>;
  /**
   * Checks every byte before the first record is written. A project that is here already is never touched: then the
   * file's becomes a copy. `chosen` are ids in the file; null for all of them.
   */
  importArchive(
    callId: string,
    file: Blob,
    chosen: readonly Id[] | null,
    onProgress: OnProgress,
  ): Promise<Imported>;
  /** Ends an export or import: nothing of what it was at is kept. */
  cancelArchive(callId: string): Promise<void>;
  /** Projects that are not temporary and not in the trash; with `only`, those of them. */
  backupStates(only?: readonly Id[]): Promise<readonly BackupState[]>;
}
