/** Rows of the data set as a person looks at them: pictures, or cells of a table. Loaded once a row, in order. */
import type { ImageItem } from '../protocol/api';
import type { DatasetVersion } from '../protocol/entities';
import type { Studio } from './studio';

export interface Example {
  readonly row: number;
  readonly picture: ImageItem | null;
  /** Name and text of each cell, target included; empty for pictures. */
  readonly cells: readonly { readonly column: string; readonly text: string }[];
}

export class Examples {
  readonly #studio: Studio;
  readonly #dataset: () => DatasetVersion | null;
  readonly #cache: Record<number, Example> = {};
  #shown = $state.raw<readonly Example[]>([]);
  #error = $state.raw<unknown>(null);
  #wanted: readonly number[] = [];

  constructor(studio: Studio, dataset: () => DatasetVersion | null) {
    this.#studio = studio;
    this.#dataset = dataset;
  }

  /** The examples last asked for, in their order. */
  get shown(): readonly Example[] {
    return this.#shown;
  }

  get error(): unknown {
    return this.#error;
  }

  async show(rows: readonly number[]): Promise<void> {
    this.#wanted = rows;
    const dataset = this.#dataset();
    if (!dataset || dataset.rowsLeftOut) return;
    const missing = rows.filter((row) => !(row in this.#cache));
    try {
      if (missing.length > 0) await this.#load(dataset, missing);
      this.#error = null;
    } catch (error) {
      this.#error = error;
    }
    // A later wish has overtaken this one.
    if (this.#wanted !== rows) return;
    this.#shown = rows.flatMap((row) => this.#cache[row] ?? []);
  }

  async #load(dataset: DatasetVersion, rows: readonly number[]): Promise<void> {
    const { data } = this.#studio;
    if (dataset.manifest.type === 'images') {
      for (const picture of await data.images(dataset.id, rows)) {
        this.#cache[picture.row] = { row: picture.row, picture, cells: [] };
      }
      return;
    }
    const page = await data.rows(dataset.id, { offset: 0, limit: rows.length, rows });
    for (const { row, cells } of page.rows) {
      const named = page.columns.map((column, at) => ({ column, text: cells[at] ?? '' }));
      this.#cache[row] = { row, picture: null, cells: named };
    }
  }
}
