/**
 * Records of a locked project that do not open: damaged, changed or put in from elsewhere. Their names are keyed hashes
 * of what they are, so whoever knows what a record should be finds out whether it is among them.
 */
import type { Id, ModelVersion, Run } from '../../protocol/entities';
import type { CoreDatabase } from '../schema';
import { tampered } from './errors';
import type { RowKey, SealedTable } from './image';
import type { VaultKeys } from './keys';
import { rowKey } from './rows';

export class Damage {
  readonly #keys: VaultKeys;
  /** What each is, in words, by the name under which it lies. */
  #records = new Map<string, string>();

  constructor(keys: VaultKeys) {
    this.#keys = keys;
  }

  get size(): number {
    return this.#records.size;
  }

  /** Each in words that follow "the record of". */
  get words(): readonly string[] {
    return [...this.#records].map(([name, what]) => `${what} (${name.slice(0, 12)})`);
  }

  /** Names of sealed records that did not open, and the records that did. */
  async found(names: readonly string[], core: CoreDatabase): Promise<void> {
    this.#records = new Map(names.map((name) => [name, 'something that nothing else names']));
    if (names.length === 0) return;
    for (const { table, key, what } of await expected(core, this.#keys.projectId)) {
      const name = await rowKey(this.#keys, table, key);
      if (this.#records.has(name)) this.#records.set(name, what);
    }
  }

  /** A record that should be here, and is not. */
  async missing(table: SealedTable, key: RowKey, what: string): Promise<void> {
    this.#records.set(await rowKey(this.#keys, table, key), what);
  }

  /** It was written anew. */
  healed(name: string): void {
    this.#records.delete(name);
  }

  async has(table: SealedTable, key: RowKey): Promise<boolean> {
    return this.size > 0 && this.#records.has(await rowKey(this.#keys, table, key));
  }

  /** `vault/tampered` where it is among them. */
  async refuse(table: SealedTable, key: RowKey): Promise<void> {
    if (this.size === 0) return;
    const name = await rowKey(this.#keys, table, key);
    const what = this.#records.get(name);
    if (what === undefined) return;
    throw tampered(`the record of ${what} (${name.slice(0, 12)})`, { record: name });
  }
}

interface Expected {
  readonly table: SealedTable;
  readonly key: RowKey;
  readonly what: string;
}

const nameOfRun = ({ number, name }: Run): string => `run ${number} “${name}”`;
const nameOfModel = ({ number, name }: ModelVersion): string => `model ${number} “${name}”`;

/** Every record that others say must be there. The last one to name it gives the words. */
async function expected(core: CoreDatabase, projectId: Id): Promise<readonly Expected[]> {
  const { projects, links, datasets, runs, models, evaluations } = core;
  const tables = [projects, links, datasets, runs, models, evaluations];
  const all = await core.transaction('r', tables, async () => ({
    projects: await projects.toArray(),
    links: await links.toArray(),
    datasets: await datasets.toArray(),
    runs: await runs.toArray(),
    models: await models.toArray(),
    evaluations: await evaluations.toArray(),
  }));
  const named: Expected[] = [];
  const add = (table: SealedTable, key: RowKey | null, what: string) => {
    if (key !== null) named.push({ table, key, what });
  };
  const data = (id: Id | null, user: string) => {
    add('datasets', id, `the data set of ${user}`);
    if (id !== null) add('links', [projectId, id], 'which data the project keeps');
  };
  for (const { datasetId } of all.links) data(datasetId, 'the project');
  for (const { id } of all.datasets) data(id, 'the project');
  for (const evaluation of all.evaluations) {
    data(evaluation.datasetId, 'an evaluation');
    add('models', evaluation.modelVersionId, 'a model that was judged');
  }
  for (const model of all.models) {
    data(model.datasetId, nameOfModel(model));
    add('models', model.parentId, `the model that ${nameOfModel(model)} was made from`);
    add('runs', model.runId, `the run that made ${nameOfModel(model)}`);
    add('checkpoints', model.runId, `the checkpoint of the run that made ${nameOfModel(model)}`);
  }
  for (const run of all.runs) {
    data(run.config.datasetId, nameOfRun(run));
    add('models', run.modelVersionId, `the model of ${nameOfRun(run)}`);
    add('checkpoints', run.id, `the checkpoint of ${nameOfRun(run)}`);
  }
  for (const { datasetId } of all.projects) data(datasetId, 'the project');
  add('projects', projectId, 'the project itself: its name, goal and settings');
  return named;
}
