/** The Storage screen: what is big, what can go, what is only here, and what the browser promises. */
import type { BackupState } from '../protocol/backup';
import type { Reclaimable, StorageReport } from '../protocol/storage';
import type { App } from './app.svelte';
import { Tasks } from './tasks.svelte';

export interface StorageOverview extends StorageReport {
  readonly used: number;
  readonly quota: number;
  readonly persisted: boolean;
  /** Files kept for working without a network; null where the browser does not say. */
  readonly offline: number | null;
  /** Projects whose newest state is in no file. */
  readonly onlyHere: readonly BackupState[];
}

type Task = 'load' | 'free' | 'persist' | 'check' | 'repair';

export const RECLAIMABLE = ['garbage', 'features', 'trash', 'imports', 'checkpoints'] as const;

export class StorageView {
  readonly #app: App;
  readonly #tasks = new Tasks<Task>();
  #overview = $state.raw<StorageOverview | null>(null);
  #chosen = $state.raw<readonly (keyof Reclaimable)[]>(['garbage', 'features']);
  #freed = $state.raw<{ readonly before: number; readonly after: number } | null>(null);
  #problems = $state.raw<readonly string[] | null>(null);
  #refused = $state(false);

  constructor(app: App) {
    this.#app = app;
  }

  /** Null until it is known. */
  get overview(): StorageOverview | null {
    return this.#overview;
  }

  get busy(): Task | null {
    return this.#tasks.busy;
  }

  get errors(): Partial<Record<Task, unknown>> {
    return this.#tasks.errors;
  }

  /** By the store's own count, around the last freeing. */
  get freed(): { readonly before: number; readonly after: number } | null {
    return this.#freed;
  }

  /** What the last check found; empty is healthy. */
  get problems(): readonly string[] | null {
    return this.#problems;
  }

  /** The browser did not agree to keep the storage. */
  get refused(): boolean {
    return this.#refused;
  }

  /** Bytes that the chosen kinds take. */
  get chosenBytes(): number {
    const { reclaimable } = this.#overview ?? {};
    return this.#chosen.reduce((sum, kind) => sum + (reclaimable?.[kind] ?? 0), 0);
  }

  chosen(kind: keyof Reclaimable): boolean {
    return this.#chosen.includes(kind);
  }

  choose(kind: keyof Reclaimable, on: boolean): void {
    const others = this.#chosen.filter((other) => other !== kind);
    this.#chosen = on ? [...others, kind] : others;
  }

  load(): Promise<void> {
    return this.#do('load', () => Promise.resolve());
  }

  free(): Promise<void> {
    return this.#do('free', async () => {
      const { store } = await this.#app.studio();
      this.#freed = await store.freeStorage(this.#chosen);
    });
  }

  persist(): Promise<void> {
    return this.#do('persist', async () => {
      this.#refused = !(await navigator.storage.persist());
    });
  }

  /** Reads every record and every byte; changes nothing. */
  check(): Promise<void> {
    return this.#tasks.run('check', async () => {
      this.#problems = null;
      this.#problems = await (await this.#app.studio()).store.verify();
    });
  }

  /** Drops what can be made anew and what nothing names, and checks again. */
  repair(): Promise<void> {
    return this.#do('repair', async () => {
      this.#problems = await (await this.#app.studio()).store.heal();
    });
  }

  #do(task: Task, work: () => Promise<void>): Promise<void> {
    return this.#tasks.run(task, async () => {
      await work();
      await this.#look();
    });
  }

  async #look(): Promise<void> {
    const { store } = await this.#app.studio();
    const [report, usage, states, offline] = await Promise.all([
      store.describeStorage(),
      store.usage(),
      store.backupStates(),
      offlineBytes(),
    ]);
    const onlyHere = states.filter(({ changed }) => changed);
    const { bytes: used, quota, persisted } = usage;
    this.#overview = { ...report, used, quota, persisted, offline, onlyHere };
    await this.#app.refreshStorage();
  }
}

/** Chromium says what the offline copy takes; other browsers do not. */
async function offlineBytes(): Promise<number | null> {
  const estimate: StorageEstimate & { usageDetails?: { caches?: number } } =
    await navigator.storage.estimate();
  return estimate.usageDetails?.caches ?? null;
}

/** Safari clears a site's storage after seven days without a visit, unless it stands on the home screen. */
export function clearsAfterSevenDays(): boolean {
  const { userAgent } = navigator;
  return /Safari\//.test(userAgent) && !/Chrom(e|ium)\/|Android/.test(userAgent);
}
