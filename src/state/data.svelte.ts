/**
 * What is known of the open project's data: its histograms, what is left out and why, and the recipe as fitted on the
 * training part. Asked anew when something that it depends on changes; answers that come late are dropped.
 */
import type { DatasetSummary, Inspection, Prepared } from '../protocol/api';
import type { Project, RecipeConfig } from '../protocol/entities';
import type { Studio } from './studio';

export class DataView {
  readonly #studio: Studio;
  #summary = $state.raw<DatasetSummary | null>(null);
  #inspection = $state.raw<Inspection | null>(null);
  #prepared = $state.raw<Prepared | null>(null);
  #error = $state.raw<unknown>(null);
  #asking = $state(0);
  #summaryKey = '';
  #inspectionKey = '';

  constructor(studio: Studio) {
    this.#studio = studio;
  }

  get summary(): DatasetSummary | null {
    return this.#summary;
  }

  get inspection(): Inspection | null {
    return this.#inspection;
  }

  /** The recipe as fitted, the sizes of the parts and the shape of one row of features. */
  get prepared(): Prepared | null {
    return this.#prepared;
  }

  get error(): unknown {
    return this.#error;
  }

  get asking(): boolean {
    return this.#asking > 0;
  }

  /** Brings everything up to date with the project; cheap when nothing changed. */
  async refresh(project: Project): Promise<void> {
    await Promise.all([this.#summarise(project), this.#inspect(project)]);
  }

  retry(project: Project): Promise<void> {
    this.#summaryKey = '';
    this.#inspectionKey = '';
    return this.refresh(project);
  }

  async #summarise({ datasetId, target }: Project): Promise<void> {
    const key = JSON.stringify([datasetId, target]);
    if (datasetId === null || key === this.#summaryKey) return;
    this.#summaryKey = key;
    await this.#ask(async () => {
      const summary = await this.#studio.data.summarise(datasetId, target);
      if (key === this.#summaryKey) this.#summary = summary;
    });
  }

  async #inspect(project: Project): Promise<void> {
    const { datasetId, target, task, recipe, split, blueprint } = project;
    if (datasetId === null || target === null || task === null) return;
    const picture = blueprint?.kind === 'pretrained' ? blueprint.picture : null;
    const key = JSON.stringify([datasetId, target, task, recipe, split, picture]);
    if (key === this.#inspectionKey) return;
    this.#inspectionKey = key;
    await this.#ask(async () => {
      this.#error = null;
      const inspected = { datasetId, target, task, recipe, split };
      const inspection = await this.#studio.data.inspect(inspected);
      if (key !== this.#inspectionKey) return;
      this.#inspection = inspection;
      this.#prepared = null;
      const prepared = await this.#studio.data.prepare(this.#studio.runConfig(project));
      if (key === this.#inspectionKey) this.#prepared = prepared;
    });
  }

  async #ask(work: () => Promise<void>): Promise<void> {
    this.#asking += 1;
    try {
      await work();
    } catch (error) {
      this.#error = error;
    } finally {
      this.#asking -= 1;
    }
  }
}

/** The recipe with a column switched; a switch back to the automatic choice leaves no trace. */
export function switched(
  recipe: RecipeConfig,
  column: string,
  on: boolean,
  automatic: boolean,
): RecipeConfig {
  const others = Object.entries(recipe.use).filter(([name]) => name !== column);
  return {
    ...recipe,
    use: Object.fromEntries(on === automatic ? others : [...others, [column, on]]),
  };
}
