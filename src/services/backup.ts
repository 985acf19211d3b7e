/**
 * Backups into a folder that the person picked: what changed since its last backup, each in a file of its own, written
 * under a temporary name first. A file that is there is never written into, and an older one goes only after a newer
 * one is in its place. When to do so is the page's business (state/backup).
 */
import { AppError } from '../core/errors';
import { backupKey } from '../protocol/backup';
import type { ArchivedProject, BackupStamp, BackupState, SavedProject } from '../protocol/backup';
import type { Id, Timestamp } from '../protocol/entities';
import type { OnProgress, StoreApi } from '../protocol/api';
import type { Async } from './bridge';

const FOLDER = 'backup-folder';
/** While it is written. Left over by a crash, it is written over. */
const TEMPORARY = 'saving.part';
const ENDING = '.terrarium';
const KEEP = 5;

/** The parts of the File System Access API that TypeScript does not know. */
type Permission = 'granted' | 'prompt' | 'denied';
interface Permitted {
  queryPermission?(options: { mode: 'readwrite' }): Promise<Permission>;
  requestPermission?(options: { mode: 'readwrite' }): Promise<Permission>;
}
interface Movable {
  move?(name: string): Promise<void>;
}

export interface BackupFolder {
  readonly handle: FileSystemDirectoryHandle;
  /** Versions of each project. */
  readonly keep: number;
  /** The last backup into it: when, and of how many bytes. */
  readonly last: { readonly at: Timestamp; readonly bytes: number } | null;
  /** Fingerprints of what lies in it, by project. */
  readonly kept: Readonly<Record<Id, string>>;
}

/** Not in the folder as it is now, whatever files of it were saved elsewhere. */
export function isDue({ kept }: BackupFolder, state: BackupState): boolean {
  return kept[state.projectId] !== state.fingerprint;
}

/** A file in a folder of backups, the newest of a project first. */
export interface FoundBackup {
  readonly name: string;
  readonly folder: string;
  readonly at: Timestamp;
  readonly bytes: number;
  readonly file: FileSystemFileHandle;
}

export type BackupStore = Pick<
  Async<StoreApi>,
  'getSetting' | 'setSetting' | 'exportArchive' | 'importArchive' | 'readArchive'
>;

export class Backup {
  readonly #store: BackupStore;
  readonly #now: () => Timestamp;

  constructor(store: BackupStore, now: () => Timestamp = Date.now) {
    this.#store = store;
    this.#now = now;
  }

  /** null where none was picked. */
  async folder(): Promise<BackupFolder | null> {
    const kept = (await this.#store.getSetting(FOLDER)) as BackupFolder | null | undefined;
    return kept?.handle instanceof FileSystemDirectoryHandle ? kept : null;
  }

  async choose(handle: FileSystemDirectoryHandle, keep = KEEP): Promise<BackupFolder> {
    const folder: BackupFolder = { handle, keep, last: null, kept: {} };
    await this.#store.setSetting(FOLDER, folder);
    return folder;
  }

  /** The files in it stay. */
  async forget(): Promise<void> {
    await this.#store.setSetting(FOLDER, null);
  }

  /** `ask` needs a gesture of the person's. */
  async permission({ handle }: BackupFolder, ask = false): Promise<Permission> {
    const permitted = handle as Permitted;
    const question = { mode: 'readwrite' } as const;
    // A folder without the question (the browser's own) may be written.
    const answer = (await permitted.queryPermission?.(question)) ?? 'granted';
    if (answer === 'granted' || !ask) return answer;
    return (await permitted.requestPermission?.(question)) ?? answer;
  }

  /** One after the other; the first that fails ends it, and those before it are safe. */
  async save(
    folder: BackupFolder,
    states: readonly BackupState[],
    callId: string,
    onProgress: OnProgress,
  ): Promise<BackupFolder> {
    let saved = folder;
    let bytes = 0;
    for (const [index, state] of states.entries()) {
      const say: OnProgress = (progress) =>
        onProgress({ ...progress, label: `${state.name} (${index + 1} of ${states.length})` });
      const one = await this.#saveOne(folder, state, callId, say);
      bytes += one.bytes;
      const kept = { ...saved.kept, [state.projectId]: one.fingerprint };
      saved = { ...saved, kept, last: { at: this.#now(), bytes } };
      await this.#store.setSetting(FOLDER, saved);
    }
    return saved;
  }

  async #saveOne(
    { handle, keep }: BackupFolder,
    state: BackupState,
    callId: string,
    onProgress: OnProgress,
  ): Promise<{ readonly bytes: number; readonly fingerprint: string }> {
    const { projectId, name } = state;
    try {
      const place = await placeOf(handle, state);
      const part = await place.getFileHandle(TEMPORARY, { create: true });
      const request = { projects: [projectId], withData: true, withTrash: true };
      const { bytes, saved } = await this.#store.exportArchive(callId, request, part, onProgress);
      const { size } = await part.getFile();
      if (size !== bytes) throw torn(name, size, bytes);
      const newest = await freeName(place, nameOf(this.#now()));
      await move(place, part, newest);
      await prune(place, keep, newest);
      await this.stamp(saved, 'folder');
      return { bytes, fingerprint: saved[0]?.fingerprint ?? state.fingerprint };
    } catch (error) {
      throw inWords(error, name);
    }
  }

  /** So that "only here" is known. */
  async stamp(saved: readonly SavedProject[], where: BackupStamp['where']): Promise<void> {
    const at = this.#now();
    for (const { id, revision, fingerprint } of saved) {
      const stamp: BackupStamp = { at, revision, where, fingerprint };
      await this.#store.setSetting(backupKey(id), stamp);
    }
  }

  /** Files in a folder of backups, or in one project's, the newest of each first. */
  async find(handle: FileSystemDirectoryHandle): Promise<readonly FoundBackup[]> {
    const found = await filesIn(handle, handle.name);
    for await (const entry of handle.values()) {
      if (isFolder(entry)) found.push(...(await filesIn(entry, entry.name)));
    }
    return found.sort((a, b) => a.folder.localeCompare(b.folder) || b.name.localeCompare(a.name));
  }

  /** What a file of it holds, before it is opened. */
  async look(found: FoundBackup): Promise<readonly ArchivedProject[]> {
    return (await this.#store.readArchive(await found.file.getFile())).projects;
  }
}

// ---- folders and files ----------------------------------------------------------------------------------------

function isFolder(entry: FileSystemHandle): entry is FileSystemDirectoryHandle {
  return entry.kind === 'directory';
}

function isFile(entry: FileSystemHandle): entry is FileSystemFileHandle {
  return entry.kind === 'file';
}

/** A project's own folder, found again by the end of its name when the project was renamed. */
async function placeOf(
  handle: FileSystemDirectoryHandle,
  { projectId, name }: BackupState,
): Promise<FileSystemDirectoryHandle> {
  const mark = ` ${markOf(projectId)}`;
  for await (const entry of handle.values()) {
    if (isFolder(entry) && entry.name.endsWith(mark)) return entry;
  }
  const plain =
    name
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .trim()
      .slice(0, 60) || 'project';
  return handle.getDirectoryHandle(plain + mark, { create: true });
}

function markOf(projectId: Id): string {
  return projectId.slice(0, 8);
}

/** Sorted by name is sorted by time; no file system minds it. */
function nameOf(at: Timestamp): string {
  return new Date(at).toISOString().replace(/[:.]/g, '-');
}

/** A clock that stands still, or is set back, must not cost an older backup. */
async function freeName(place: FileSystemDirectoryHandle, name: string): Promise<string> {
  const taken = new Set<string>();
  for await (const entry of place.keys()) taken.add(entry);
  let free = name + ENDING;
  // "_" sorts behind ".", so a later one is the later one.
  for (let more = 2; taken.has(free); more++) free = `${name}_${more}${ENDING}`;
  return free;
}

async function move(
  place: FileSystemDirectoryHandle,
  part: FileSystemFileHandle,
  name: string,
): Promise<void> {
  const movable = part as Movable;
  if (movable.move) {
    await movable.move(name);
    return;
  }
  // The copy, too, is in its place only when all of it is written.
  const target = await place.getFileHandle(name, { create: true });
  await (await part.getFile()).stream().pipeTo(await target.createWritable());
  await place.removeEntry(TEMPORARY);
}

async function prune(
  place: FileSystemDirectoryHandle,
  keep: number,
  newest: string,
): Promise<void> {
  const names: string[] = [];
  for await (const entry of place.values()) {
    if (isFile(entry) && entry.name.endsWith(ENDING) && entry.name !== newest) {
      names.push(entry.name);
    }
  }
  for (const name of names
    .sort()
    .reverse()
    .slice(keep - 1))
    await place.removeEntry(name);
}

async function filesIn(handle: FileSystemDirectoryHandle, folder: string): Promise<FoundBackup[]> {
  const found: FoundBackup[] = [];
  for await (const entry of handle.values()) {
    if (!isFile(entry) || !entry.name.endsWith(ENDING)) continue;
    const { size, lastModified } = await entry.getFile();
    found.push({ name: entry.name, folder, at: lastModified, bytes: size, file: entry });
  }
  return found;
}

// ---- failures -------------------------------------------------------------------------------------------------

function torn(name: string, size: number, bytes: number): AppError {
  return new AppError(
    'backup/torn',
    `The backup of “${name}” is not whole: ${size} of ${bytes} bytes are in the folder. The former backup is still there; try again.`,
    { size, bytes },
  );
}

/** The folder itself refuses: what it throws, in words. What the store threw is in words already. */
function inWords(error: unknown, name: string): AppError {
  if (error instanceof AppError) return error;
  const kind = error instanceof DOMException ? error.name : '';
  if (kind === 'NotFoundError') {
    return new AppError(
      'backup/gone',
      `“${name}” could not be backed up: the folder is not there any more. It was moved, renamed or its disk taken out. Choose a folder again.`,
      {},
      error,
    );
  }
  if (kind === 'NotAllowedError') {
    return new AppError(
      'backup/permission',
      `“${name}” could not be backed up: the browser asks again whether the folder may be written. Allow it.`,
      {},
      error,
    );
  }
  if (kind === 'QuotaExceededError') {
    return new AppError(
      'backup/full',
      `“${name}” could not be backed up: the disk with the folder is full. Make room on it; older backups are still there.`,
      {},
      error,
    );
  }
  return new AppError(
    'backup/failed',
    `“${name}” could not be backed up: ${error instanceof Error ? error.message : String(error)}. Try again, or choose another folder.`,
    {},
    error,
  );
}
