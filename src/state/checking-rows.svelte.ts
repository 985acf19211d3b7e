/**
 * Real rows to try a model on: those of the checking part, which it was not trained on. The sealed part is never
 * read here, so trying does not wear it out.
 */
import type { RawPart } from '../protocol/api';
import type { ModelVersion, Project } from '../protocol/entities';
import type { Studio } from './studio';
import type { ModelInputs } from './try-one.svelte';

export interface CheckingRow {
  /** Row of the data set, from 1 as people count. */
  readonly number: number;
  readonly inputs: ModelInputs;
  /** Class name, or the value in the target's unit. */
  readonly truth: string | number;
}

export class CheckingRows {
  readonly #model: ModelVersion;
  #part = $state.raw<RawPart | null>(null);
  #error = $state.raw<unknown>(null);

  constructor(model: ModelVersion) {
    this.#model = model;
  }

  /** How many there are; 0 until they are loaded. */
  get count(): number {
    return this.#part?.rows.length ?? 0;
  }

  get loaded(): boolean {
    return this.#part !== null;
  }

  get error(): unknown {
    return this.#error;
  }

  async load(studio: Studio, project: Project): Promise<void> {
    try {
      this.#part = await studio.openPart(project, this.#model, 'validation');
    } catch (error) {
      this.#error = error;
    }
  }

  /** The row at this place of the part. */
  at(index: number): CheckingRow | null {
    const part = this.#part;
    const row = part?.rows[index];
    if (!part || row === undefined) return null;
    const truth = part.truth[index] ?? NaN;
    const { task, classes } = this.#model.signature;
    return {
      number: row + 1,
      inputs: part.inputs.map((input) => {
        const size = input.data.length / part.rows.length;
        const data = input.data.slice(index * size, (index + 1) * size);
        return { ...input, dims: [1, ...input.dims.slice(1)], data };
      }),
      truth: task === 'classification' ? (classes[truth] ?? '') : truth,
    };
  }
}
