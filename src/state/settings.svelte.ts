/** What Settings does: says what is kept here, erases it, and chooses the device for this browser. */
import { version } from '../../package.json';
import type { App } from './app.svelte';
import type { ExecutorName } from '../protocol/entities';
import { Tasks } from './tasks.svelte';
import { runUnderWay } from './under-way';

export type DeviceChoice = 'auto' | Exclude<ExecutorName, 'reference'>;

export interface Usage {
  readonly bytes: number;
  readonly quota: number;
  readonly persisted: boolean;
  /** Kept here, so that erasing can be checked by looking. */
  readonly projects: readonly string[];
  readonly trashed: number;
  readonly datasets: number;
  /** A run is under way, in whatever project: taking over an update would end it. */
  readonly running: boolean;
}

type Task = 'erase' | 'device';

export class Settings {
  readonly version = version;
  readonly #app: App;
  readonly #tasks = new Tasks<Task>();
  #usage = $state.raw<Usage | null>(null);
  #device = $state<DeviceChoice>('auto');
  #erased = $state(false);
  #loadError = $state.raw<unknown>(null);

  constructor(app: App) {
    this.#app = app;
  }

  /** Null until it is known. */
  get usage(): Usage | null {
    return this.#usage;
  }

  get device(): DeviceChoice {
    return this.#device;
  }

  get busy(): Task | null {
    return this.#tasks.busy;
  }

  get errors(): Partial<Record<Task, unknown>> {
    return this.#tasks.errors;
  }

  /** Why it is not known what is kept here. */
  get loadError(): unknown {
    return this.#loadError;
  }

  /** Everything is erased, and that was checked. */
  get erased(): boolean {
    return this.#erased;
  }

  async load(): Promise<void> {
    try {
      await this.#look();
      this.#device = await (await this.#app.studio()).device.override();
      this.#loadError = null;
    } catch (error) {
      this.#loadError = error;
    }
  }

  choose(device: DeviceChoice): Promise<void> {
    return this.#tasks.run('device', async () => {
      await (await this.#app.studio()).device.setOverride(device);
      this.#device = device;
    });
  }

  /** Erases all that this browser holds of the studio's data, and looks whether something is left. */
  eraseEverything(): Promise<void> {
    return this.#tasks.run('erase', async () => {
      const { store } = await this.#app.studio();
      await store.eraseEverything();
      this.#app.theme.choose('system');
      await this.#look();
      const left = this.#usage;
      this.#erased = left?.projects.length === 0 && left.trashed === 0 && left.datasets === 0;
    });
  }

  async #look(): Promise<void> {
    const studio = await this.#app.studio();
    const { store } = studio;
    const [usage, live, trashed, datasets, running] = await Promise.all([
      store.usage(),
      store.listProjects(),
      store.listProjects({ trashed: true }),
      store.listDatasets(),
      runUnderWay(studio),
    ]);
    this.#usage = {
      ...usage,
      projects: live.map(({ name }) => name),
      trashed: trashed.length,
      datasets: datasets.length,
      running,
    };
    await this.#app.refreshStorage();
  }
}
