/** Mounts the studio on a page. `load` gives the services; a test passes its own. */
import { mount, unmount } from 'svelte';
import { App } from '../state/app.svelte';
import { loadStudio, type Studio } from '../state/studio';
import { isPseudo } from './messages/m';
import Shell from './shell/Shell.svelte';
import './styles/tokens.css';
import './styles/base.css';

export function mountApp(
  target: Element,
  load: () => Promise<Studio> = loadStudio,
): { readonly app: App; readonly close: () => Promise<void> } {
  if (isPseudo) document.documentElement.dir = 'rtl';
  const app = new App(load);
  app.offline.connect();
  const shell = mount(Shell, { target, props: { app } });
  return { app, close: () => unmount(shell) };
}
