/** Files of the person's: saved through the browser's own download, or where they chose. */
import type { App } from '../state/app.svelte';
import type { Project } from '../protocol/entities';
import { m } from './messages/m';

/** Saves without a question, and says what is in the file. Returns whether it was saved; a failure is said. */
export async function saveProject(app: App, project: Project, withData: boolean): Promise<boolean> {
  try {
    const request = { projects: [project.id], withData, withTrash: false };
    const { file, contents } = await app.saving.write(request, null);
    if (file) download(`${fileName(project.name)}.terrarium`, file);
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
