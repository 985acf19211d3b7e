/**
 * One RunConfig applied to its dataset: target, split and fitted recipe. Every question about a run's data starts
 * here, and the same config always gives the same answer; the last two are kept, because screens ask in bursts.
 */
import { classCounts } from './batches/batches';
import { fitRecipe } from './recipe/fit';
import { splitRows } from './split';
import { readTarget } from './target';
import type { Prepared } from '../protocol/api';
import type { RunConfig } from '../protocol/entities';
import type { Dataset, DatasetCache } from './dataset';
import type { Fitted } from './recipe/fit';
import type { Parts, RowGroups } from './split';
import type { Target } from './target';

export interface PreparedData {
  readonly dataset: Dataset;
  readonly target: Target;
  readonly parts: Parts;
  readonly fitted: Fitted;
}

type DataConfig = Pick<RunConfig, 'datasetId' | 'target' | 'task' | 'recipe' | 'split'>;

const KEPT = 2;

export class Preparations {
  readonly #datasets: DatasetCache;
  readonly #kept = new Map<string, Promise<PreparedData>>();

  constructor(datasets: DatasetCache) {
    this.#datasets = datasets;
  }

  get(config: DataConfig): Promise<PreparedData> {
    const { datasetId, target, task, recipe, split } = config;
    const key = JSON.stringify([datasetId, target, task, recipe, split]);
    const known = this.#kept.get(key) ?? this.#prepare(config);
    this.#kept.delete(key);
    this.#kept.set(key, known);
    for (const old of [...this.#kept.keys()].slice(0, -KEPT)) this.#kept.delete(old);
    known.catch(() => this.#kept.delete(key));
    return known;
  }

  async #prepare(config: DataConfig): Promise<PreparedData> {
    const dataset = await this.#datasets.get(config.datasetId);
    const target = await readTarget(dataset, config);
    const parts = splitRows(target, config.split, groupsOf(dataset));
    const fitted = await fitRecipe(dataset, target, config.recipe, parts.train);
    return { dataset, target, parts, fitted };
  }
}

/** Pictures may come in groups; the rows of a table do not. */
export function groupsOf(dataset: Dataset): RowGroups | null {
  return dataset.type === 'images' ? dataset.groups : null;
}

export function describePrepared({ target, parts, fitted }: PreparedData): Prepared {
  return {
    recipe: fitted.recipe,
    parts: {
      train: parts.train.length,
      validation: parts.validation.length,
      test: parts.test.length,
    },
    classCounts: classCounts(target, parts.train),
    findings: fitted.findings,
  };
}
