/** How the storage itself is: what it found at the start, what lies in it, what can go, and what was lost. */
import { AppError } from '../core/errors';
import type { Exported } from './backup';
import type { Id, Timestamp } from './entities';
import type { OnProgress } from './progress';

/**
 * What the browser lost. `records`: bytes lie here that no list names any more; `bytes`: the lists are here, and the data
 * and models that they name are not; `all`: other databases are here than before; `changes`: what was saved last is gone.
 */
export interface StorageLoss {
  readonly kind: 'records' | 'bytes' | 'all' | 'changes';
  readonly at: Timestamp;
  /** There were so many, where it is known. */
  readonly projects?: number;
}

/** What a page remembers of the databases, to know at a later start whether they are those of now. No name is told. */
export interface StoreMark {
  /** Of the databases: another one means that the browser threw the former ones away. */
  readonly incarnation: string;
  /** Saves so far: fewer than before mean that the browser went back to an older state of its files. */
  readonly writes: number;
  readonly projects: number;
}

/** What the databases lack now of what was known of them. */
export function lostSince(before: StoreMark, now: StoreMark): 'all' | 'changes' | null {
  const something = before.writes > 0 || before.projects > 0;
  if (before.incarnation !== now.incarnation) return something ? 'all' : null;
  return now.writes < before.writes ? 'changes' : null;
}

/** A record that is there and cannot be read; all others can. */
export interface UnreadableRecord {
  readonly table: string;
  readonly key: string;
}

export function describeRecord({ table, key }: UnreadableRecord): string {
  return `the ${table.replace(/s$/, '')} ${key.slice(0, 12)}`;
}

export function unreadableRecord(record: UnreadableRecord, cause?: unknown): AppError {
  const advice =
    record.table === 'datasets'
      ? 'Importing the same file again heals it.'
      : 'A file of the project that was saved before has it.';
  return new AppError(
    'store/unreadable',
    `The record of ${describeRecord(record)} cannot be read: the browser’s file of it is damaged or gone. ${advice} Everything else is shown, works and can be saved.`,
    { ...record },
    cause,
  );
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
  /** As a file, what can be read of databases that do not open: without opening them as `open` would. */
  salvage(onProgress: OnProgress): Promise<Exported>;
  /** The person has been told of the loss; what nothing names may go. */
  acknowledgeLoss(): Promise<void>;
}

/** The store tells the pages when a database is closed under it. */
export const healthChannel = (store: string): string => `${store}-health`;

/** Deleted, taken over by a newer build, or taken away by the browser. */
export type WhyClosed = 'deleted' | 'newer' | 'closed';

export type HealthMessage =
  | { readonly type: 'closed'; readonly why: WhyClosed }
  | { readonly type: 'saved'; readonly mark: StoreMark }
  | { readonly type: 'unreadable'; readonly record: UnreadableRecord };

/** Under which a page keeps the databases' name, where a person started anew beside damaged ones. */
export const DATABASES_KEY = 'terrarium.databases';
