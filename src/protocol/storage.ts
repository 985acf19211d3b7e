/** How the storage itself is: what it found at the start, what lies in it, what can go, and what was lost. */
import type { Id, Timestamp } from './entities';

/**
 * The browser threw away one of the two databases and kept the other. `records`: bytes lie here that no list names
 * any more; `bytes`: the lists are here, and the data and models that they name are not.
 */
export interface StorageLoss {
  readonly kind: 'records' | 'bytes';
  readonly at: Timestamp;
}

/** What a kind of thing takes, in bytes. */
export interface StorageShares {
  readonly datasets: number;
  readonly models: number;
  readonly checkpoints: number;
  readonly evaluations: number;
}

export interface ProjectStorage extends StorageShares {
  readonly id: Id;
  readonly name: string;
  readonly trashed: boolean;
  readonly total: number;
  /** Of it, what nothing outside the project names: what erasing it would free. */
  readonly own: number;
}

export interface StorageReport {
  /** Largest first. What two projects share counts in both. */
  readonly projects: readonly ProjectStorage[];
  /** Pretrained models of the person's own. */
  readonly pretrained: number;
  readonly reclaimable: Reclaimable;
}

/** What can go without a loss, or without one that matters to a finished piece of work; in bytes. */
export interface Reclaimable {
  /** Projects in the trash, with what only they name. */
  readonly trash: number;
  /** Answers of frozen bodies: made anew when they are needed. */
  readonly features: number;
  /** What no record names. */
  readonly garbage: number;
  /** What interrupted imports left. */
  readonly imports: number;
  /** Of failed runs: only good for another try. */
  readonly checkpoints: number;
}

export interface StorageApi {
  describeStorage(): Promise<StorageReport>;
  /** Frees these kinds; says what lay here before and after, by the store's own count. */
  freeStorage(
    kinds: readonly (keyof Reclaimable)[],
  ): Promise<{ readonly before: number; readonly after: number }>;
  /** Gives up what can be made anew, so that something more important fits; returns the bytes. */
  freeBallast(): Promise<number>;
  /** Drops what can be made anew, clears up, and checks every byte: the problems that are left, in words. */
  heal(): Promise<readonly string[]>;
  /** The person has been told of the loss; what nothing names may go. */
  acknowledgeLoss(): Promise<void>;
}

/** The store tells the pages when a database is closed under it. */
export const healthChannel = (store: string): string => `${store}-health`;

export interface HealthMessage {
  readonly type: 'closed';
  /** Deleted, taken over by a newer build, or taken away by the browser. */
  readonly why: 'deleted' | 'newer' | 'closed';
}

/** Under which a page keeps the databases' name, where a person started anew beside damaged ones. */
export const DATABASES_KEY = 'terrarium.databases';
