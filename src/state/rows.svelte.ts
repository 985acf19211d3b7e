/** Rows of a dataset as the Rows tab shows them: asked for in pages as they come into view, filtered by a brushed bar. */
import { untrack } from 'svelte';
import { SvelteMap } from 'svelte/reactivity';
import type { ImageItem, RowPage, RowQuery } from '../protocol/api';
import type { Id } from '../protocol/entities';
import type { Studio } from './studio';

const PAGE = 200;
/** Pages kept; those seen longest ago are forgotten first. */
const KEPT = 30;
const KEPT_IMAGES = 600;

export interface RowFilter extends NonNullable<RowQuery['filter']> {
  /** The filter in words: "species = Adelie". */
  readonly words: string;
}

export class RowsView {
  readonly #studio: Studio;
  readonly #datasetId: Id;
  readonly #pages = new SvelteMap<number, RowPage>();
  #filter = $state.raw<RowFilter | null>(null);
  readonly #images = new SvelteMap<number, ImageItem>();
  /** Pictures asked for and not there yet. */
  #awaited: readonly number[] = [];
  #columns = $state.raw<readonly string[]>([]);
  #total = $state(0);
  #error = $state.raw<unknown>(null);
  #waiting: readonly number[] = [];
  #generation = 0;

  constructor(studio: Studio, datasetId: Id) {
    this.#studio = studio;
    this.#datasetId = datasetId;
  }

  get filter(): RowFilter | null {
    return this.#filter;
  }

  get columns(): readonly string[] {
    return this.#columns;
  }

  /** Rows that pass the filter. */
  get total(): number {
    return this.#total;
  }

  get error(): unknown {
    return this.#error;
  }

  setFilter(filter: RowFilter | null): void {
    this.#filter = filter;
    this.#generation += 1;
    this.#pages.clear();
    this.#waiting = [];
    this.show(0, PAGE - 1);
  }

  /** Cells of the row at this place of the filtered list, once they have come. */
  at(index: number): { readonly row: number; readonly cells: readonly string[] } | undefined {
    return this.#pages.get(Math.floor(index / PAGE))?.rows[index % PAGE];
  }

  image(row: number): ImageItem | undefined {
    return this.#images.get(row);
  }

  /** Asks for what is in view and not there yet. What an effect that calls this depends on is its own business. */
  show(first: number, last: number): void {
    untrack(() => {
      for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page++) {
        if (!this.#pages.has(page) && !this.#waiting.includes(page)) void this.#load(page);
      }
    });
  }

  async showImages(rows: readonly number[]): Promise<void> {
    const missing = untrack(() =>
      rows.filter((row) => !this.#images.has(row) && !this.#awaited.includes(row)),
    );
    if (missing.length === 0) return;
    this.#awaited = [...this.#awaited, ...missing];
    try {
      const items = await this.#studio.data.images(this.#datasetId, missing);
      const spare = this.#images.size + items.length - KEPT_IMAGES;
      for (const old of [...this.#images.keys()].slice(0, Math.max(0, spare))) {
        if (!rows.includes(old)) this.#images.delete(old);
      }
      for (const item of items) this.#images.set(item.row, item);
    } catch (error) {
      this.#error = error;
    } finally {
      this.#awaited = this.#awaited.filter((row) => !missing.includes(row));
    }
  }

  async #load(page: number): Promise<void> {
    const generation = this.#generation;
    this.#waiting = [...this.#waiting, page];
    try {
      const filter = this.#filter;
      const query: RowQuery = { offset: page * PAGE, limit: PAGE, ...(filter ? { filter } : {}) };
      const answer = await this.#studio.data.rows(this.#datasetId, query);
      if (generation !== this.#generation) return;
      const oldest = this.#pages.keys().next().value;
      if (this.#pages.size >= KEPT && oldest !== undefined) this.#pages.delete(oldest);
      this.#pages.set(page, answer);
      this.#columns = answer.columns;
      this.#total = answer.total;
      this.#error = null;
    } catch (error) {
      if (generation === this.#generation) this.#error = error;
    } finally {
      if (generation === this.#generation) {
        this.#waiting = this.#waiting.filter((other) => other !== page);
      }
    }
  }
}
