/**
 * Web Locks of the store. The browser frees a tab's locks when the tab dies, whatever the way, so "is somebody
 * still doing this?" has an answer that no crash can falsify.
 */
import { AppError } from '../core/errors';

export type Release = () => void;

/** Takes the lock and keeps it until released; null when `ifAvailable` is asked and somebody else has it. */
export function holdLock(name: string, options: LockOptions = {}): Promise<Release | null> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, options, (lock) => {
        if (lock === null) {
          resolve(null);
          return undefined;
        }
        return new Promise<void>((release) => {
          resolve(release);
        });
      })
      .catch(reject);
  });
}

async function heldLocks(): Promise<ReadonlySet<string>> {
  const { held = [] } = await navigator.locks.query();
  return new Set(held.map((lock) => lock.name ?? ''));
}

/** The runs this tab is at work on: each holds the lock `<store>-run-<id>` until it ends. */
export class RunLocks {
  readonly #store: string;
  readonly #held = new Map<string, Release>();

  constructor(store: string) {
    this.#store = store;
  }

  /**
   * Before a run becomes active; false when this tab had it already. `store/run-elsewhere` when another tab
   * is at work on it.
   */
  async take(runId: string): Promise<boolean> {
    if (this.#held.has(runId)) return false;
    const release = await holdLock(this.#name(runId), { ifAvailable: true });
    if (release === null) {
      throw new AppError(
        'store/run-elsewhere',
        'This run is going on in another tab of this browser. Go on there, or close that tab first.',
        { runId },
      );
    }
    this.#held.set(runId, release);
    return true;
  }

  release(runId: string): void {
    this.#held.get(runId)?.();
    this.#held.delete(runId);
  }

  releaseAll(): void {
    for (const runId of [...this.#held.keys()]) this.release(runId);
  }

  /** Those of `runIds` that no living tab is at work on. */
  async abandoned(runIds: readonly string[]): Promise<ReadonlySet<string>> {
    const held = await heldLocks();
    return new Set(runIds.filter((runId) => !held.has(this.#name(runId))));
  }

  #name(runId: string): string {
    return `${this.#store}-run-${runId}`;
  }
}
