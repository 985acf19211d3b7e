/** Web Locks of imports: the browser frees them when the tab dies, so an entry of the journal without one was interrupted. */
import type { Id } from '../protocol/entities';
import type { Release } from './locks';
import { holdLock } from './locks';

/** The imports that this tab is at work on. */
export class ImportLocks {
  readonly #prefix: string;
  readonly #held = new Map<Id, Release>();

  constructor(store: string) {
    this.#prefix = `${store}-import-`;
  }

  async take(id: Id): Promise<void> {
    const release = await holdLock(this.#prefix + id);
    if (release) this.#held.set(id, release);
  }

  release(id: Id): void {
    this.#held.get(id)?.();
    this.#held.delete(id);
  }

  releaseAll(): void {
    for (const id of [...this.#held.keys()]) this.release(id);
  }

  /** Those that no living tab is at work on. */
  async interrupted<Row extends { readonly id: Id }>(
    rows: readonly Row[],
  ): Promise<readonly Row[]> {
    if (rows.length === 0) return rows;
    const { held = [] } = await navigator.locks.query();
    const names = new Set(held.map((lock) => lock.name));
    return rows.filter(({ id }) => !names.has(this.#prefix + id));
  }
}
