/** Folders of pictures as a person drops or chooses them, as paths and files. Nothing is opened here. */
import type { PictureFile, PictureSource } from '../protocol/api';

const ZIP = /\.zip$/i;
const PICTURE = /\.(jpe?g|jfif|png|webp|gif|bmp|avif|svg|hei[cf]|tiff?)$/i;

/** The files of an `<input type="file">`, with their place in the chosen folder. */
export function pickedFiles(files: FileList | null | undefined): PictureFile[] {
  return [...(files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** Everything in the folders that were dropped. Call it at once: a drop's list is gone after the event. */
export function droppedFiles(transfer: DataTransfer | null): Promise<PictureFile[]> {
  const entries = [...(transfer?.items ?? [])]
    .filter(({ kind }) => kind === 'file')
    .map((item) => item.webkitGetAsEntry());
  const known = entries.filter((entry) => entry !== null);
  if (known.length === 0) return Promise.resolve(pickedFiles(transfer?.files));
  return walk(known);
}

/** Whether these are pictures (a folder, a zip, picture files) rather than one table or project file. */
export function arePictures(files: readonly PictureFile[]): boolean {
  if (files.some(({ path }) => path.includes('/'))) return true;
  const [only] = files;
  if (files.length === 1 && only) return ZIP.test(only.path) || PICTURE.test(only.path);
  return files.some(({ path }) => PICTURE.test(path));
}

export function pictureSource(files: readonly PictureFile[]): PictureSource {
  const [only] = files;
  if (files.length === 1 && only && ZIP.test(only.path)) return { kind: 'zip', file: only.file };
  return { kind: 'files', files };
}

async function walk(roots: readonly FileSystemEntry[]): Promise<PictureFile[]> {
  const found: PictureFile[] = [];
  const waiting = [...roots];
  for (let entry = waiting.shift(); entry; entry = waiting.shift()) {
    if (isDirectory(entry)) waiting.push(...(await childrenOf(entry)));
    else if (isFile(entry)) {
      const file = await fileOf(entry);
      found.push({ path: entry.fullPath.replace(/^\//, ''), file });
    }
  }
  return found;
}

async function childrenOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const children: FileSystemEntry[] = [];
  // A reader gives a hundred at a time, and none when it is through.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return children;
    children.push(...some);
  }
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

function isDirectory(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}
