/**
 * What the outside world was told by two tabs on one store, and what it may therefore find after any crash. Every
 * fact has the values that are allowed: one where the write was acknowledged, two where it failed or was under way.
 */
import { AppError } from '../../../src/core/errors';
import type { ChunkRef, Id } from '../../../src/protocol/entities';
import type { Store } from '../../../src/storage/store';
import { createStoreApi } from '../../../src/storage/store';
import type { FaultyDisk } from './faulty-disk';
import { numbersIn } from './fixtures';

export const PART_BYTES = 64;

/** What one tab may be refused because the other one is at work, fault or no fault. */
const BY_RIGHT: readonly string[] = [
  'store/elsewhere',
  'store/moved',
  'store/run-elsewhere',
  'store/run-finished',
];

export interface KnownProject {
  readonly id: Id;
  readonly datasetId: Id;
  readonly runs: Id[];
  readonly models: Id[];
}

/** Absent. */
export const GONE = undefined;

export class World {
  readonly name: string;
  readonly disk: FaultyDisk;
  readonly tabs: Store[] = [];
  readonly projects: KnownProject[] = [];
  readonly datasets: Id[] = [];
  readonly facts = new Map<string, readonly unknown[]>();
  now = 1_000_000;
  #counter = 0;

  constructor(name: string, disk: FaultyDisk) {
    this.name = name;
    this.disk = disk;
  }

  newTab(): Store {
    const { name, disk } = this;
    const options = { name, middleware: disk.middleware, partBytes: PART_BYTES };
    return createStoreApi({ ...options, now: () => this.now });
  }

  /** The tab goes away and another comes; what fails at its opening is tried again, as a person would. */
  async reopen(index: number): Promise<void> {
    this.tabs[index]?.close();
    const tab = this.newTab();
    this.tabs[index] = tab;
    await this.attempt([], () => tab.open());
  }

  /** A number that nothing else has. */
  next(): number {
    this.#counter += 1;
    return this.#counter;
  }

  pick<T>(list: readonly T[], draw: number): T | undefined {
    return list[draw % Math.max(1, list.length)];
  }

  tab(draw: number): Store {
    const tab = this.pick(this.tabs, draw);
    if (!tab) throw new Error('The world has no tab.');
    return tab;
  }

  /** Does it. While it is under way, and after it failed, either value may be found; after it succeeded the new one. */
  async attempt<T>(
    changes: readonly (readonly [fact: string, value: unknown])[],
    work: () => Promise<T>,
  ): Promise<T | null> {
    for (const [fact, value] of changes) {
      this.facts.set(fact, [...(this.facts.get(fact) ?? [GONE]), value]);
    }
    try {
      const result = await work();
      for (const [fact, value] of changes) this.facts.set(fact, [value]);
      return result;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      if (!this.disk.failed && !BY_RIGHT.includes(error.code)) throw error;
      return null;
    }
  }

  /** Acknowledged just now. */
  know(fact: string, value: unknown): void {
    this.facts.set(fact, [value]);
  }

  factsOf({ id, runs, models }: KnownProject): readonly string[] {
    const owners = [id, ...runs, ...models];
    return [...this.facts.keys()].filter((fact) =>
      owners.some((owner) => fact.includes(`/${owner}/`)),
    );
  }
}

/** What is really there, under the names that `facts` has. */
export async function snapshot(store: Store): Promise<ReadonlyMap<string, unknown>> {
  const found = new Map<string, unknown>();
  for (const { id, manifest } of await store.listDatasets()) {
    if (manifest.type !== 'table') continue;
    const refs = manifest.columns.flatMap((column) => column.chunks);
    found.set(`dataset/${id}/bytes`, await contents(store, refs));
  }
  const projects = [
    ...(await store.listProjects()),
    ...(await store.listProjects({ trashed: true })),
  ];
  for (const { id, name, trashedAt } of projects) {
    found.set(`project/${id}/name`, name);
    found.set(`project/${id}/trashed`, trashedAt !== null);
    for (const run of await store.listRuns(id)) {
      const ended = ['done', 'stopped'].includes(run.status);
      found.set(`run/${run.id}/steps`, run.stepsDone);
      found.set(`run/${run.id}/ended`, ended);
      const checkpoint = ended ? null : await store.getCheckpoint(run.id);
      if (!checkpoint) continue;
      const bytes = [numbersIn(checkpoint.state), numbersIn(checkpoint.best)];
      found.set(`run/${run.id}/checkpoint`, [checkpoint.checkpoint.step, ...bytes]);
    }
    for (const model of await store.listModels(id)) {
      found.set(`model/${model.id}/name`, model.name);
      found.set(`model/${model.id}/stage`, model.stage);
      found.set(`model/${model.id}/trashed`, model.trashedAt !== null);
      found.set(`model/${model.id}/file`, await contents(store, [model.file]));
    }
    for (const evaluation of await store.listEvaluations(id)) {
      const fact = `evaluation/${evaluation.modelVersionId}/${evaluation.id}`;
      found.set(fact, await store.getPredictions(evaluation.id));
    }
  }
  return found;
}

async function contents(store: Store, refs: readonly ChunkRef[]): Promise<readonly unknown[]> {
  const all = [];
  for (const ref of refs) all.push(numbersIn(await store.getChunk(ref)));
  return all;
}
