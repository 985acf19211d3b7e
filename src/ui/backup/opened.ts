/** What a project file brought, said once it is here. */
import type { App } from '../../state/app.svelte';
import { m } from '../messages/m';

export async function sayOpened(app: App): Promise<void> {
  const opened = app.imports.takeOpened();
  if (!opened) return;
  const { projects, sealed, notes } = opened;
  await app.projects.load();
  if (projects.length > 1) app.toasts.say(m.backup.open.done(projects.length));
  for (const { name } of sealed) app.toasts.say(m.backup.open.sealedHere(name));
  if (notes.length > 0) app.toasts.say(m.backup.open.notes(notes.join('; ')));
}
