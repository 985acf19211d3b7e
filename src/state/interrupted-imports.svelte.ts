/** Imports that a crash ended, as Home offers them: made again from the same file, or given up. */
import type { InterruptedImport } from '../protocol/imports';
import type { Studio } from './studio';

export class InterruptedImports {
  readonly #studio: () => Promise<Studio>;
  #list = $state.raw<readonly InterruptedImport[]>([]);
  #error = $state.raw<unknown>(null);
  #freed = $state.raw<number | null>(null);

  constructor(studio: () => Promise<Studio>) {
    this.#studio = studio;
  }

  get list(): readonly InterruptedImport[] {
    return this.#list;
  }

  get error(): unknown {
    return this.#error;
  }

  /** Bytes that the last one given up had taken. */
  get freed(): number | null {
    return this.#freed;
  }

  async load(): Promise<void> {
    try {
      this.#list = await (await this.#studio()).store.listInterruptedImports();
      this.#error = null;
    } catch (error) {
      this.#error = error;
    }
  }

  async discard(id: string): Promise<void> {
    try {
      this.#freed = (await (await this.#studio()).store.discardImport(id)).bytes;
    } catch (error) {
      this.#error = error;
      return;
    }
    await this.load();
  }
}
