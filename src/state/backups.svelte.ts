/**
 * When projects are backed up into the folder that the person picked: once a change has rested, and when a run has
 * ended. Where there is no folder, what is only in this browser, and since when. One tab at a time does the work.
 */
import { AppError } from '../core/errors';
import type { Progress, StoreStatus } from '../protocol/api';
import type { BackupState, BackupStoreApi } from '../protocol/backup';
import type { Id, Timestamp } from '../protocol/entities';
import { STORE_NAME, changesChannel } from '../protocol/tabs';
import type { StoreChange } from '../protocol/tabs';
import { Backup, isDue } from '../services/backup';
import type { BackupFolder, BackupStore, FoundBackup } from '../services/backup';
import type { Toasts } from './toasts.svelte';

export type { FoundBackup };

const LOCK = 'terrarium-backup';
/** A change has rested when two looks in a row find the same. */
const LOOK_MS = 30_000;
const DAY = 24 * 60 * 60 * 1000;
/** From so many runs, or after so many days, a line reminds of what is only here. */
export const REMIND_RUNS = 3;
export const REMIND_DAYS = 7;

export interface OnlyHere {
  readonly since: Timestamp;
  readonly runs: number;
  readonly models: number;
  readonly projects: number;
}

/** What is needed of the services. */
export interface BackupStudio {
  readonly store: BackupStore & Pick<BackupStoreApi, 'backupStates' | 'cancelArchive'>;
  storeStatus(): Promise<Pick<StoreStatus, 'readOnly'>>;
}

type Task = 'save' | 'find';

export class Backups {
  readonly #studio: () => Promise<BackupStudio>;
  readonly #toasts: Toasts;
  readonly #now: () => Timestamp;
  #folder = $state.raw<BackupFolder | null>(null);
  #loaded = $state(false);
  #asks = $state(false);
  #states = $state.raw<readonly BackupState[]>([]);
  #busy = $state<Task | null>(null);
  #progress = $state.raw<Progress | null>(null);
  #error = $state.raw<unknown>(null);
  #found = $state.raw<readonly FoundBackup[] | null>(null);
  /** As the last look found them. */
  #seen: readonly BackupState[] = [];
  #told: string | null = null;
  #callId: string | null = null;
  /** Written since they were last looked at, by whatever tab. */
  #dirty: readonly Id[] = [];

  constructor(
    studio: () => Promise<BackupStudio>,
    toasts: Toasts,
    now: () => Timestamp = Date.now,
  ) {
    this.#studio = studio;
    this.#toasts = toasts;
    this.#now = now;
  }

  /** null where none was picked. */
  get folder(): BackupFolder | null {
    return this.#folder;
  }

  get loaded(): boolean {
    return this.#loaded;
  }

  /** The browser wants a gesture before the folder may be written again. */
  get asks(): boolean {
    return this.#asks;
  }

  get busy(): Task | null {
    return this.#busy;
  }

  get progress(): Progress | null {
    return this.#progress;
  }

  /** Why the last backup failed. */
  get error(): unknown {
    return this.#error;
  }

  /** What lies in the folder that a person wants to restore from. */
  get found(): readonly FoundBackup[] | null {
    return this.#found;
  }

  /** Projects that are not what they were when they were last saved. */
  get changed(): readonly BackupState[] {
    return this.#states.filter((state) => state.changed);
  }

  /** Projects that are not in the folder as they are now. */
  get due(): readonly BackupState[] {
    const folder = this.#folder;
    return folder ? this.#states.filter((state) => isDue(folder, state)) : [];
  }

  /** What would be lost with this browser; null where nothing would. */
  get onlyHere(): OnlyHere | null {
    const { changed } = this;
    if (changed.length === 0) return null;
    return {
      since: Math.min(...changed.map(({ since }) => since)),
      runs: changed.reduce((sum, { runs }) => sum + runs, 0),
      models: changed.reduce((sum, { models }) => sum + models, 0),
      projects: changed.length,
    };
  }

  /** The line that reminds; null while a folder takes care of it, and where little would be lost. */
  get reminder(): OnlyHere | null {
    const { onlyHere } = this;
    if (!onlyHere || (this.#folder && !this.#asks && !this.#error)) return null;
    const long = this.#now() - onlyHere.since > REMIND_DAYS * DAY;
    const much = onlyHere.runs >= REMIND_RUNS;
    return much || (long && onlyHere.runs + onlyHere.models > 0) ? onlyHere : null;
  }

  async load(): Promise<void> {
    try {
      const studio = await this.#studio();
      // What was written by a newer build is only read, and a backup could not be remembered.
      if ((await studio.storeStatus()).readOnly) return;
      const backup = await this.#backup();
      this.#folder = await backup.folder();
      this.#asks = this.#folder ? (await backup.permission(this.#folder)) !== 'granted' : false;
      this.#states = await studio.store.backupStates();
      this.#loaded = true;
    } catch (error) {
      this.#error = error;
    }
  }

  /** Looks now and then, and when the page is put aside. Returns how to stop. */
  watch(): () => void {
    const look = (): void => void this.look();
    const hidden = (): void => {
      if (document.visibilityState === 'hidden') look();
    };
    const timer = setInterval(look, LOOK_MS);
    document.addEventListener('visibilitychange', hidden);
    const changes = new BroadcastChannel(changesChannel(STORE_NAME));
    changes.onmessage = ({ data }: MessageEvent<StoreChange>) => {
      if (data.type === 'written' && !this.#dirty.includes(data.projectId)) {
        this.#dirty = [...this.#dirty, data.projectId];
      }
      if (data.type === 'erased') this.#loaded = false;
    };
    return () => {
      changes.close();
      clearInterval(timer);
      document.removeEventListener('visibilitychange', hidden);
    };
  }

  /** One look: what has rested since the last one, or whose run has ended, is backed up. */
  async look(): Promise<void> {
    if (this.#busy !== null) return;
    await this.#refresh();
    if (!this.#loaded) return;
    const before = this.#seen;
    this.#seen = this.#states;
    const due = this.due.filter((state) => {
      const seen = before.find(({ projectId }) => projectId === state.projectId);
      const ended = seen?.running === true && !state.running;
      return !state.running && (ended || seen?.fingerprint === state.fingerprint);
    });
    if (this.#folder && !this.#asks && due.length > 0) await this.#save(due);
  }

  /** Everything that changed, without waiting for it to rest. */
  async backUpNow(): Promise<void> {
    await this.load();
    if (this.#folder && (await this.allow())) await this.#save(this.due);
  }

  async choose(handle: FileSystemDirectoryHandle): Promise<void> {
    await this.#try(async () => {
      this.#folder = await (await this.#backup()).choose(handle);
    });
    await this.backUpNow();
  }

  async forget(): Promise<void> {
    await this.#try(async () => {
      await (await this.#backup()).forget();
      this.#folder = null;
      this.#asks = false;
    });
  }

  /** Asks the person through the browser; needs a click of theirs. Whether the folder may be written now. */
  async allow(): Promise<boolean> {
    const folder = this.#folder;
    if (!folder) return false;
    await this.#try(async () => {
      this.#asks = (await (await this.#backup()).permission(folder, true)) !== 'granted';
    });
    return !this.#asks;
  }

  cancel(): void {
    const callId = this.#callId;
    if (callId === null) return;
    this.#studio()
      .then(({ store }) => store.cancelArchive(callId))
      .catch((error: unknown) => (this.#error = error));
  }

  /** Lists the backups in a folder. */
  async findIn(handle: FileSystemDirectoryHandle): Promise<void> {
    this.#busy = 'find';
    await this.#try(async () => {
      this.#found = await (await this.#backup()).find(handle);
    });
    this.#busy = null;
  }

  endFinding(): void {
    this.#found = null;
  }

  /** Reads only what was written: curves of long runs are large. */
  async #refresh(): Promise<void> {
    if (!this.#loaded) return this.load();
    const dirty = this.#dirty;
    if (dirty.length === 0) return;
    this.#dirty = [];
    try {
      const fresh = await (await this.#studio()).store.backupStates(dirty);
      const others = this.#states.filter(({ projectId }) => !dirty.includes(projectId));
      this.#states = [...others, ...fresh];
    } catch (error) {
      this.#loaded = false;
      this.#error = error;
    }
  }

  async #save(states: readonly BackupState[]): Promise<void> {
    if (this.#busy !== null) return;
    const folder = this.#folder;
    if (!folder) return;
    this.#busy = 'save';
    await navigator.locks.request(LOCK, { ifAvailable: true }, async (lock) => {
      // Another tab is at it.
      if (!lock) return;
      const callId = crypto.randomUUID();
      this.#callId = callId;
      await this.#try(async () => {
        const backup = await this.#backup();
        this.#folder = await backup.save(folder, states, callId, (progress) => {
          this.#progress = progress;
        });
        this.#told = null;
      });
    });
    this.#callId = null;
    this.#progress = null;
    this.#busy = null;
    await this.load();
  }

  async #try(work: () => Promise<void>): Promise<void> {
    try {
      this.#error = null;
      await work();
    } catch (error) {
      const code = error instanceof AppError ? error.code : 'backup/failed';
      if (code === 'backup/cancelled') return;
      this.#error = error;
      if (code === 'backup/permission') this.#asks = true;
      // Once, however often it is tried; the card goes on saying it.
      if (this.#told !== code) this.#toasts.fail(error);
      this.#told = code;
    }
  }

  async #backup(): Promise<Backup> {
    return new Backup((await this.#studio()).store, this.#now);
  }
}
