/** Keys that work on every screen. Returns the way to stop listening. */
import type { App } from '../../state/app.svelte';
import { m } from '../messages/m';

interface Actions {
  readonly keys: () => void;
  readonly palette: () => void;
}

export function shellKeys(app: App, actions: Actions): () => void {
  function onkeydown(event: KeyboardEvent): void {
    if (event.defaultPrevented) return;
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      actions.palette();
    } else if (isTyping(event.target)) {
      // Inside a field, undo and letters belong to the field.
      return;
    } else if (command && event.key.toLowerCase() === 'z') {
      event.preventDefault();
      if (event.shiftKey) redo(app);
      else undo(app);
    } else if (event.key === '?' && !command) {
      event.preventDefault();
      actions.keys();
    } else if (event.shiftKey && event.key === 'P' && !command && !event.altKey) {
      event.preventDefault();
      app.present(!app.presenting);
    } else if (event.key === 'Escape' && app.presenting) {
      app.present(false);
    }
  }
  addEventListener('keydown', onkeydown);
  return () => removeEventListener('keydown', onkeydown);
}

export function undo(app: App): void {
  const keys = app.project?.undo();
  app.toasts.say(keys ? m.shell.undone(named(keys)) : m.shell.nothingToUndo);
}

export function redo(app: App): void {
  const keys = app.project?.redo();
  app.toasts.say(keys ? m.shell.redone(named(keys)) : m.shell.nothingToRedo);
}

export function named(keys: readonly (keyof typeof m.shell.edit)[]): string {
  return keys.map((key) => m.shell.edit[key]).join(', ');
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) {
    return !['checkbox', 'radio', 'range', 'button', 'file'].includes(target.type);
  }
  return target.isContentEditable || target.matches('textarea, select, [role=textbox]');
}
