/** A person's `.onnx` on its way in: read, shown for what it is, kept as `imported`, judged where this data fits. */
import { wholeFile } from '../core/whole-file';
import { MODEL_LIMITS } from '../protocol/model-files';
import type { InspectedModel } from '../protocol/api';
import type { DatasetVersion, FittedRecipe, ModelVersion } from '../protocol/entities';
import type { OpenProject } from './project.svelte';

export type Fit =
  | { readonly fits: true }
  | {
      readonly fits: false;
      readonly why: 'no-recipe' | 'no-data' | 'kind' | 'target' | 'columns';
      readonly columns: readonly string[];
    };

export class ModelImport {
  readonly #project: OpenProject;
  #file = $state.raw<File | null>(null);
  #inspected = $state.raw<InspectedModel | null>(null);
  #error = $state.raw<unknown>(null);
  #busy = $state(false);

  constructor(project: OpenProject) {
    this.#project = project;
  }

  get name(): string {
    return this.#file?.name ?? '';
  }

  get inspected(): InspectedModel | null {
    return this.#inspected;
  }

  get error(): unknown {
    return this.#error;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Whether the data of this project can be asked of it. */
  get fit(): Fit {
    return fitOf(this.#inspected?.recipe ?? null, this.#project.records.dataset);
  }

  reset(): void {
    this.#file = null;
    this.#inspected = null;
    this.#error = null;
  }

  async inspect(file: File): Promise<void> {
    this.reset();
    this.#file = file;
    await this.#work(async () => {
      const inspected = await this.#project.studio.inspectModel(file);
      if (this.#file === file) this.#inspected = inspected;
    });
  }

  /** A LoRA run's adapter, put back into its body and kept; null when that failed (and was said). */
  async apply(file: File): Promise<ModelVersion | null> {
    this.reset();
    let saved: ModelVersion | null = null;
    await this.#work(async () => {
      const { studio, current, records } = this.#project;
      const adapter = await wholeFile(file, MODEL_LIMITS.adapter, file.name);
      saved = await studio.applyAdapter(current.id, adapter);
      await records.loadModels();
    });
    return saved;
  }

  /** Keeps it; null when that failed (and was said). */
  async save(): Promise<ModelVersion | null> {
    const file = this.#file;
    if (!file) return null;
    let saved: ModelVersion | null = null;
    await this.#work(async () => {
      const { studio, current, records } = this.#project;
      const name = file.name.replace(/\.onnx$/i, '');
      const bytes = await studio.checkedModel(file);
      saved = (await studio.importModel(current.id, name, bytes)).model;
      await records.loadModels();
    });
    return saved;
  }

  async #work(work: () => Promise<void>): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    this.#error = null;
    try {
      await work();
    } catch (error) {
      this.#error = error;
    } finally {
      this.#busy = false;
    }
  }
}

/** Whether a model's inputs and target are all columns of this data. */
export function fitOf(recipe: FittedRecipe | null, dataset: DatasetVersion | null): Fit {
  const no = (why: Extract<Fit, { fits: false }>['why'], columns: readonly string[] = []): Fit => ({
    fits: false,
    why,
    columns,
  });
  if (!recipe) return no('no-recipe');
  if (!dataset || dataset.rowsLeftOut) return no('no-data');
  const { manifest } = dataset;
  const { input, target } = recipe;
  if (manifest.type !== input.type) return no('kind');
  if (input.type === 'images' || manifest.type === 'images') {
    const same =
      input.type === 'images' &&
      manifest.type === 'images' &&
      input.channels === manifest.channels &&
      input.height === manifest.height &&
      input.width === manifest.width;
    return same ? { fits: true } : no('kind');
  }
  const names = manifest.columns.map(({ name }) => name);
  if (!names.includes(target.column)) return no('target', [target.column]);
  const missing = [...input.numeric, ...input.categorical]
    .map(({ column }) => column)
    .filter((column) => !names.includes(column));
  return missing.length > 0 ? no('columns', missing) : { fits: true };
}
