/**
 * The page's state as a whole: one object that the shell makes and every screen reaches by context. The services are
 * loaded at the first question to them, so that the first paint waits for no engine, no store and no worker.
 */
import { Backups } from './backups.svelte';
import { Device } from './device.svelte';
import { Imports } from './imports.svelte';
import type { LiveRun } from './live-run.svelte';
import { Offline } from './offline.svelte';
import { OpenProject } from './project.svelte';
import { Pictures } from './pictures.svelte';
import { Projects } from './projects.svelte';
import { Rescue } from './rescue.svelte';
import { Router } from './router.svelte';
import type { Studio } from './studio';
import { Saving } from './saving.svelte';
import { Theme } from './theme.svelte';
import { Toasts } from './toasts.svelte';
import { Vaults, closedDoor } from './vaults.svelte';

export class App {
  readonly router = new Router();
  readonly theme = new Theme();
  readonly toasts = new Toasts();
  readonly offline = new Offline();
  readonly device: Device;
  readonly rescue: Rescue;
  readonly projects: Projects;
  readonly imports: Imports;
  readonly pictures: Pictures;
  readonly saving: Saving;
  readonly backups: Backups;
  readonly vaults: Vaults;
  readonly #load: () => Promise<Studio>;
  #studio: Promise<Studio> | null = null;
  #project = $state.raw<OpenProject | null>(null);
  #projectError = $state.raw<unknown>(null);
  #presenting = $state(false);
  #readOnly = $state(false);
  #startId: string | null = null;
  /** Projects that are being left: the next one is not claimed before they are free. */
  #rising: Promise<unknown> = Promise.resolve();
  /** Projects left while they train, or with edits that are not saved: they are found again as they were. */
  #working: readonly OpenProject[] = [];
  #storage = $state.raw<{ readonly bytes: number; readonly quota: number } | null>(null);

  constructor(load: () => Promise<Studio>) {
    this.#load = load;
    this.device = new Device(() => this.studio());
    this.rescue = new Rescue(() => this.studio());
    this.imports = new Imports(() => this.studio());
    this.pictures = new Pictures(
      () => this.studio(),
      () => this.imports.into ?? this.#lockedHere(),
    );
    this.projects = new Projects(() => this.studio(), this.toasts);
    this.backups = new Backups(() => this.studio(), this.toasts);
    this.saving = new Saving(
      () => this.studio(),
      () => void this.backups.load(),
    );
    this.vaults = new Vaults(() => this.studio(), {
      busy: (id) => this.#importsInto(id) || this.#opened(id).some(({ training }) => training.busy),
      trains: (id) => this.#opened(id).some(({ training }) => training.busy),
      leave: (id) => this.#shut(id),
      changed: () => this.projects.load(),
    });
  }

  /** The services; loaded at the first call. */
  studio(): Promise<Studio> {
    this.#studio ??= this.#load().then((studio) => {
      this.rescue.watch(studio);
      studio.workers.onUnreadable = (error) => this.toasts.fail(error);
      return studio;
    });
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

  /** The run that trains in this tab, of whatever project. */
  get liveRun(): LiveRun | null {
    const busy = [this.#project, ...this.#working].find((project) => project?.training.busy);
    return busy?.runs.live ?? null;
  }

  /** Edits that came after their project had moved to another tab: nowhere but on this page. */
  get unsaved(): boolean {
    return [this.#project, ...this.#working].some(
      (project) => (project?.seat.unsaved ?? null) !== null,
    );
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
    const all = left
      ? [...this.#working.filter((project) => project !== left), left]
      : this.#working;
    this.#working = all.filter(({ training, seat }) => training.busy || seat.unsaved !== null);
    if (left) this.#rising = Promise.all([this.#rising, this.#leave(left)]);
    this.#project = null;
    this.#projectError = null;
    if (id === null) return;
    try {
      const studio = await this.studio();
      const project = await studio.store.getProject(id);
      const working = this.#working.find(({ current }) => current.id === id);
      const opened = working ?? new OpenProject(studio, project);
      // Who writes is known before anything is read: what is read then stays true until it is told otherwise.
      await this.#rising;
      await opened.seat.sit();
      await opened.reload();
      if (this.router.projectId === id) this.#project = opened;
      else await this.#leave(opened);
      await Promise.all([this.refreshStorage(), this.device.recall()]);
    } catch (error) {
      if (this.router.projectId === id) this.#projectError = error;
    }
  }

  /** Frees the project for other tabs, once what was edited is written. */
  async #leave(project: OpenProject): Promise<void> {
    try {
      await project.seat.rise();
    } catch (error) {
      this.toasts.fail(error);
    }
  }

  /** More pictures for a locked project stay inside its lock. */
  #lockedHere(): string | null {
    const id = this.#project?.current.id;
    return id !== undefined && this.vaults.isOpen(id) ? id : null;
  }

  /** Data is on its way into the lock. */
  #importsInto(id: string): boolean {
    const { imports, pictures } = this;
    const into = imports.into ?? this.#lockedHere();
    return into === id && (imports.progress !== null || pictures.progress !== null);
  }

  #opened(id: string): readonly OpenProject[] {
    const all = this.#project ? [this.#project, ...this.#working] : this.#working;
    return all.filter(({ current }) => current.id === id);
  }

  /** A project is being locked: what was edited is written, then nothing of it stays in this page. */
  async #shut(id: string): Promise<void> {
    for (const project of this.#opened(id)) await this.#leave(project);
    this.#working = this.#working.filter(({ current }) => current.id !== id);
    this.toasts.clear();
    if (this.imports.into === id) {
      // What it wrote is given up, or found again after unlocking; no name of a file stays on the page.
      this.imports.cancel();
      this.imports.into = null;
    }
    if (this.#lockedHere() === id) this.pictures.clear();
    if (this.#project?.current.id !== id) return;
    this.#project = null;
    this.#projectError = closedDoor(id);
  }

  async refreshStorage(): Promise<void> {
    const studio = await this.studio();
    this.#storage = await studio.store.usage();
    const status = await studio.storeStatus();
    this.#readOnly = status.readOnly;
  }
}
