/** What Settings does: storage looked at, tidied, checked and erased; the device chosen for this browser. */
import { version } from '../../package.json';
import type { App } from './app.svelte';
import type { ExecutorName } from '../protocol/entities';
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

type Task = 'persist' | 'collect' | 'verify' | 'erase' | 'device';

export class Settings {
  readonly version = version;
  readonly #app: App;
  #usage = $state.raw<Usage | null>(null);
  #device = $state<DeviceChoice>('auto');
  #busy = $state<Task | null>(null);
  #errors = $state.raw<Partial<Record<Task | 'load', unknown>>>({});
  #freed = $state<number | null>(null);
  #problems = $state.raw<readonly string[] | null>(null);
  #persistRefused = $state(false);
  #erased = $state(false);

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
    return this.#busy;
  }

  get errors(): Partial<Record<Task | 'load', unknown>> {
    return this.#errors;
  }

  /** Bytes that the last tidying freed. */
  get freed(): number | null {
    return this.#freed;
  }

  /** What the last check found; empty is healthy. */
  get problems(): readonly string[] | null {
    return this.#problems;
  }

  get persistRefused(): boolean {
    return this.#persistRefused;
  }

  /** Everything is erased, and that was checked. */
  get erased(): boolean {
    return this.#erased;
  }

  async load(): Promise<void> {
    try {
      await this.#look();
      this.#device = await (await this.#app.studio()).device.override();
    } catch (error) {
      this.#errors = { ...this.#errors, load: error };
    }
  }

  choose(device: DeviceChoice): Promise<void> {
    return this.#do('device', async () => {
      await (await this.#app.studio()).device.setOverride(device);
      this.#device = device;
    });
  }

  /** Asks the browser not to clear the storage by itself when space runs low. */
  persist(): Promise<void> {
    return this.#do('persist', async () => {
      this.#persistRefused = !(await navigator.storage.persist());
    });
  }

  collect(): Promise<void> {
    return this.#do('collect', async () => {
      this.#freed = await (await this.#app.studio()).store.collectGarbage();
    });
  }

  verify(): Promise<void> {
    return this.#do('verify', async () => {
      this.#problems = await (await this.#app.studio()).store.verify();
    });
  }

  /** Erases all that this browser holds of the studio's data, and looks whether something is left. */
  eraseEverything(): Promise<void> {
    return this.#do('erase', async () => {
      const { store } = await this.#app.studio();
      await store.eraseEverything();
      this.#app.theme.choose('system');
      await this.#look();
      const left = this.#usage;
      this.#erased = left?.projects.length === 0 && left.trashed === 0 && left.datasets === 0;
    });
  }

  async #do(task: Task, work: () => Promise<void>): Promise<void> {
    if (this.#busy !== null) return;
    this.#busy = task;
    this.#errors = { ...this.#errors, [task]: null };
    try {
      await work();
      await this.#look();
    } catch (error) {
      this.#errors = { ...this.#errors, [task]: error };
    } finally {
      this.#busy = null;
    }
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
