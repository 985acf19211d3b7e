/** What the open project holds besides its settings and runs: its data, its models and their evaluations. */
import { AppError } from '../core/errors';
import type { DatasetVersion, Evaluation, Id, ModelVersion } from '../protocol/entities';
import type { Studio } from './studio';

export class Records {
  readonly #studio: Studio;
  readonly #projectId: Id;
  #dataset = $state.raw<DatasetVersion | null>(null);
  #models = $state.raw<readonly ModelVersion[]>([]);
  #evaluations = $state.raw<readonly Evaluation[]>([]);

  constructor(studio: Studio, projectId: Id) {
    this.#studio = studio;
    this.#projectId = projectId;
  }

  get dataset(): DatasetVersion | null {
    return this.#dataset;
  }

  /** In order of their numbers; those in the Trash are left out. */
  get models(): readonly ModelVersion[] {
    return this.#models.filter((model) => model.trashedAt === null);
  }

  /** Kept for 30 days, then erased. */
  get trashed(): readonly ModelVersion[] {
    return this.#models.filter((model) => model.trashedAt !== null);
  }

  get evaluations(): readonly Evaluation[] {
    return this.#evaluations;
  }

  async loadDataset(id: Id | null): Promise<void> {
    if (id === this.#dataset?.id) return;
    this.#dataset = id === null ? null : await this.#readable(id);
  }

  /** Null where its record is damaged: that must not keep the project shut, and a note above every screen names it. */
  async #readable(id: Id): Promise<DatasetVersion | null> {
    try {
      return await this.#studio.store.getDataset(id);
    } catch (error) {
      if (error instanceof AppError && error.code === 'vault/tampered') return null;
      throw error;
    }
  }

  async loadModels(): Promise<void> {
    const models = await this.#studio.store.listModels(this.#projectId);
    this.#models = [...models].sort((a, b) => a.number - b.number);
  }

  async loadEvaluations(): Promise<void> {
    const evaluations = await this.#studio.store.listEvaluations(this.#projectId);
    this.#evaluations = [...evaluations].sort((a, b) => a.createdAt - b.createdAt);
  }
}
