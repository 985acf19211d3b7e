/** When a project was last saved outside this browser: what "only here" is told by. */
import type { Id, Timestamp } from './entities';

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
