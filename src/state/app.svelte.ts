/**
 * The page's state as a whole: one object that the shell makes and every screen reaches by context. The services are
 * loaded at the first question to them, so that the first paint waits for no engine, no store and no worker.
 */
import { Device } from './device.svelte';
import { Imports } from './imports.svelte';
import { Offline } from './offline.svelte';
import { OpenProject } from './project.svelte';
import { Pictures } from './pictures.svelte';
import { Projects } from './projects.svelte';
import { Router } from './router.svelte';
import type { Studio } from './studio';
import { Theme } from './theme.svelte';
import { Toasts } from './toasts.svelte';

export class App {
  readonly router = new Router();
  readonly theme = new Theme();
  readonly toasts = new Toasts();
  readonly offline = new Offline();
  readonly device: Device;
  readonly projects: Projects;
  readonly imports: Imports;
  readonly pictures: Pictures;
  readonly #load: () => Promise<Studio>;
  #studio: Promise<Studio> | null = null;
  #project = $state.raw<OpenProject | null>(null);
  #projectError = $state.raw<unknown>(null);
  #presenting = $state(false);
  #readOnly = $state(false);
  #startId: string | null = null;
  /** Projects left while they train: they go on, and are found again as they were. */
  #working: readonly OpenProject[] = [];
  #storage = $state.raw<{ readonly bytes: number; readonly quota: number } | null>(null);

  constructor(load: () => Promise<Studio>) {
    this.#load = load;
    this.device = new Device(() => this.studio());
    this.imports = new Imports(() => this.studio());
    this.pictures = new Pictures(() => this.studio());
    this.projects = new Projects(() => this.studio(), this.toasts);
  }

  /** The services; loaded at the first call. */
  studio(): Promise<Studio> {
    this.#studio ??= this.#load();
    return this.#studio;
  }

  /** The project of the address, or null while it is being opened and where there is none. */
  get project(): OpenProject | null {
    return this.#project;
  }

  /** Why the project of the address could not be opened. */
  get projectError(): unknown {
    return this.#projectError;
  }

  get presenting(): boolean {
    return this.#presenting;
  }

  /** Another tab writes to the store; this one only reads. */
  get readOnly(): boolean {
    return this.#readOnly;
  }

  /** Bytes in use and allowed, once known. */
  get storage(): { readonly bytes: number; readonly quota: number } | null {
    return this.#storage;
  }

  /** A project of this tab trains, the open one or one that was left. */
  get training(): boolean {
    return [this.#project, ...this.#working].some((project) => project?.training.busy === true);
  }

  present(on: boolean): void {
    this.#presenting = on;
    document.documentElement.toggleAttribute('data-presenting', on);
  }

  /** A starter lands on Train, which then begins by itself: once, and only for this project. */
  startOnArrival(projectId: string): void {
    this.#startId = projectId;
  }

  /** Whether the project just came from a starter; true once. */
  takeStart(projectId: string): boolean {
    const starts = this.#startId === projectId;
    if (starts) this.#startId = null;
    return starts;
  }

  async openProject(id: string | null): Promise<void> {
    if (this.#project?.current.id === id) return;
    const left = this.#project;
    this.#working = this.#working.filter((project) => project.training.busy);
    if (left?.training.busy) this.#working = [...this.#working, left];
    this.#project = null;
    this.#projectError = null;
    if (id === null) return;
    try {
      const studio = await this.studio();
      const project = await studio.store.getProject(id);
      const working = this.#working.find(({ current }) => current.id === id);
      const opened = working ?? new OpenProject(studio, project);
      if (working) working.accept(project);
      else await opened.load();
      if (this.router.projectId === id) this.#project = opened;
      await Promise.all([this.refreshStorage(), this.device.recall()]);
    } catch (error) {
      if (this.router.projectId === id) this.#projectError = error;
    }
  }

  async refreshStorage(): Promise<void> {
    const studio = await this.studio();
    this.#storage = await studio.store.usage();
    this.#readOnly = (await studio.storeStatus()).readOnly;
  }
}
