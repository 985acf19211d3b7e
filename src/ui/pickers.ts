/** The browser's own questions for a file or folder, where it has them. null when the person thinks better of it. */

interface Pickers {
  showSaveFilePicker?(options: {
    suggestedName: string;
    types: readonly { description: string; accept: Record<string, readonly string[]> }[];
  }): Promise<FileSystemFileHandle>;
  showDirectoryPicker?(options: {
    id: string;
    mode: 'read' | 'readwrite';
  }): Promise<FileSystemDirectoryHandle>;
}

function pickers(): Pickers {
  return globalThis as Pickers;
}

export function canPickFile(): boolean {
  return pickers().showSaveFilePicker !== undefined;
}

export function canPickFolder(): boolean {
  return pickers().showDirectoryPicker !== undefined;
}

/** Call it in the person's click. */
export function pickFile(name: string, description: string): Promise<FileSystemFileHandle | null> {
  const accept = { 'application/zip': ['.terrarium'] };
  return unlessAborted(
    pickers().showSaveFilePicker?.({ suggestedName: name, types: [{ description, accept }] }),
  );
}

export function pickFolder(mode: 'read' | 'readwrite'): Promise<FileSystemDirectoryHandle | null> {
  return unlessAborted(pickers().showDirectoryPicker?.({ id: 'terrarium-backup', mode }));
}

async function unlessAborted<T>(asked: Promise<T> | undefined): Promise<T | null> {
  try {
    return (await asked) ?? null;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return null;
    throw error;
  }
}
