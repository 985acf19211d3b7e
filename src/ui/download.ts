/** Saves a project as a `.terrarium` file through the browser's own download, and says what is in it. */
import type { App } from '../state/app.svelte';
import type { Project } from '../protocol/entities';
import { m } from './messages/m';

/** Returns whether it was saved; a failure is said in a message. */
export async function saveProject(app: App, project: Project, withData: boolean): Promise<boolean> {
  try {
    const { store } = await app.studio();
    const { file, contents } = await store.exportProject(project.id, { withData });
    download(`${fileName(project.name)}.terrarium`, file);
    app.toasts.say(m.home.exported(contents.join(', ')));
    return true;
  } catch (error) {
    app.toasts.fail(error);
    return false;
  }
}

/** A name that every file system takes. */
export function fileName(name: string): string {
  return name.replace(/[^\p{L}\p{N} _-]/gu, '').trim() || 'terrarium';
}

export function download(name: string, blob: Blob): void {
  const address = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The browser reads the blob after this task; freeing it at once would cancel the download.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
