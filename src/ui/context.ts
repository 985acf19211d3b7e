/** How a component reaches the page's state: `const app = useApp()`. */
import { createContext } from 'svelte';
import type { App } from '../state/app.svelte';
import type { OpenProject } from '../state/project.svelte';

export const [useApp, provideApp] = createContext<App>();

/** The open project, for the screens that are only drawn while there is one (made anew for each project). */
export const [useProject, provideProject] = createContext<OpenProject>();
