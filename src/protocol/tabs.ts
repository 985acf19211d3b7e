/**
 * Several tabs on one store: who may write a project, and what the tabs tell each other. `<store>-changes` carries what
 * the stores did, `<store>-tabs` what the pages ask and show each other. Messages are hints: what protects the records
 * is the Web Lock and the epoch that every write transaction checks.
 */
import type { Id, Run, RunIncident } from './entities';
import type { TrainEvent } from './train';

export interface TabsStoreApi {
  /**
   * Makes this store the one that writes the project, until `releaseProject`. `store/elsewhere` when another tab is;
   * with `takeOver` its lock is stolen. What it left running is interrupted. Claiming again what is held is free.
   */
  claimProject(id: Id, options?: { readonly takeOver?: boolean }): Promise<Claimed>;
  /** Frees the project for other tabs; while a run of this tab is under way it stays with this tab. */
  releaseProject(id: Id): Promise<void>;
}

export interface Claimed {
  /** Counts the claims on the project: a higher one takes this one's right to write. */
  readonly epoch: number;
}

/** On `<store>-changes`, from the stores. */
export type StoreChange =
  /** Committed. `tables` names those of the core database that it may have touched. */
  | { readonly type: 'written'; readonly projectId: Id; readonly tables: readonly string[] }
  | { readonly type: 'claimed'; readonly projectId: Id; readonly epoch: number }
  /** The claim with this epoch has ended: given back, or its lock was stolen. */
  | { readonly type: 'released' | 'lost'; readonly projectId: Id; readonly epoch: number }
  | { readonly type: 'erased' };

/** On `<store>-tabs`, from the pages. */
export type TabMessage =
  /** Whoever writes the project is asked to save and let go. Each answer names the `ask`. */
  | { readonly type: 'ask'; readonly projectId: Id; readonly ask: string }
  /** Heard: what is open is being saved. */
  | { readonly type: 'saving'; readonly ask: string }
  /** The project is free. */
  | { readonly type: 'given'; readonly ask: string }
  /** A tab that only reads shows the project: what is under way is told from its beginning. */
  | { readonly type: 'watch'; readonly projectId: Id }
  /** A run under way, gathered; `begins` where another was shown before. Rows of the data are left out. */
  | {
      readonly type: 'run';
      readonly projectId: Id;
      readonly begins: boolean;
      readonly events: readonly SharedRunEvent[];
    };

export type SharedRunEvent =
  | Exclude<TrainEvent, { readonly type: 'hardest' | 'profile' }>
  | { readonly type: 'run'; readonly run: Run }
  | { readonly type: 'incident'; readonly incident: RunIncident };

export const changesChannel = (store: string): string => `${store}-changes`;
export const tabsChannel = (store: string): string => `${store}-tabs`;
/** The Web Lock of the one store that writes the project. */
export const writerLock = (store: string, projectId: Id): string => `${store}-writer-${projectId}`;
/** The Web Lock that each store holds from its first claim until it dies: who looks on waits for it. */
export const livingLock = (store: string, life: string): string => `${store}-living-${life}`;
export const STORE_NAME = 'terrarium';
