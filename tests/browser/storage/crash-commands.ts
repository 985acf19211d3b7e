/** What two tabs may do, as commands that fast-check strings together in any order. */
import fc from 'fast-check';
import type { ChunkRef, ModelVersion } from '../../../src/protocol/entities';
import {
  PREDICTIONS,
  bytesOf,
  checkpointDraft,
  evaluationDraft,
  modelDraft,
  numbersIn,
  projectDraft,
  runDraft,
  tableManifest,
} from './fixtures';
import { GONE } from './crash-world';
import type { KnownProject, World } from './crash-world';

interface Draw {
  readonly tab: number;
  readonly which: number;
}

type Act = (world: World, draw: Draw) => Promise<void>;

/** The model of fast-check is the world itself: what it knows decides what can be done. */
class Step implements fc.AsyncCommand<World, World> {
  readonly #name: string;
  readonly #act: Act;
  readonly #draw: Draw;

  constructor(name: string, act: Act, draw: Draw) {
    this.#name = name;
    this.#act = act;
    this.#draw = draw;
  }

  check(): boolean {
    return true;
  }

  run(_: World, world: World): Promise<void> {
    return this.#act(world, this.#draw);
  }

  toString(): string {
    return `${this.#name}(${this.#draw.tab}, ${this.#draw.which})`;
  }
}

const withProject =
  (act: (world: World, project: KnownProject, draw: Draw) => Promise<void>): Act =>
  async (world, draw) => {
    const project = world.pick(world.projects, draw.which);
    if (project) await act(world, project, draw);
  };

const STEPS: Readonly<Record<string, Act>> = {
  async importTable(world, { tab, which }) {
    const store = world.tab(tab);
    const seeds = [which % 5, world.next() % 100];
    await world.attempt([], async () => {
      const source = { kind: 'file', name: `${which % 3}.csv` } as const;
      const id = await store.beginImport({ source, bytes: null });
      const refs: ChunkRef[] = [];
      for (const seed of seeds) refs.push(await store.putChunk(bytesOf(seed, 100), id));
      // Some are left in the middle, some are given up, most come to their end.
      if (which % 7 === 5) return;
      if (which % 7 === 6) {
        await store.discardImport(id);
        return;
      }
      const table = tableManifest(refs[0] ?? fail());
      const columns = table.columns.map((column) => ({ ...column, chunks: refs }));
      const manifest = { ...table, columns, name: `table ${world.next()}` };
      const dataset = await store.putDataset(manifest, id);
      const bytes = columns.flatMap(() => seeds.map((seed) => numbersIn(bytesOf(seed, 100))));
      world.know(`dataset/${dataset.id}/bytes`, bytes);
      world.datasets.push(dataset.id);
    });
  },

  async discardInterrupted(world, { tab, which }) {
    await world.attempt([], async () => {
      const found = world.pick(await world.tab(tab).listInterruptedImports(), which);
      if (found) await world.tab(tab).discardImport(found.id);
    });
  },

  async createProject(world, { tab, which }) {
    const datasetId = world.pick(world.datasets, which);
    if (datasetId === undefined) return;
    await world.attempt([], async () => {
      const { id, name } = await world.tab(tab).createProject(projectDraft(datasetId));
      world.projects.push({ id, datasetId, runs: [], models: [] });
      world.know(`project/${id}/name`, name);
      world.know(`project/${id}/trashed`, false);
    });
  },

  edit: withProject(async (world, { id }, { tab }) => {
    const name = `name ${world.next()}`;
    await world.attempt([[`project/${id}/name`, name]], async () => {
      const { revision } = await world.tab(tab).getProject(id);
      await world.tab(tab).editProject(id, revision, { name });
    });
  }),

  trash: withProject(async (world, { id }, { tab }) => {
    await world.attempt([[`project/${id}/trashed`, true]], () => world.tab(tab).trashProject(id));
  }),

  restore: withProject(async (world, { id }, { tab }) => {
    await world.attempt([[`project/${id}/trashed`, false]], () =>
      world.tab(tab).restoreProject(id),
    );
  }),

  erase: withProject(async (world, project, { tab, which }) => {
    // Not the first one at every opportunity.
    if (which % 3 !== 0) return;
    const changes = world.factsOf(project).map((fact) => [fact, GONE] as const);
    const own = world.datasets.filter((id) => id === project.datasetId);
    const data = own.map((id) => [`dataset/${id}/bytes`, GONE] as const);
    const shared = world.projects.some(
      (other) => other !== project && other.datasetId === project.datasetId,
    );
    // A copy that nobody keeps count of may share it too: then it may stay.
    const before = world.facts.get(data[0]?.[0] ?? '') ?? [];
    await world.attempt(shared ? changes : [...changes, ...data], () =>
      world.tab(tab).eraseProject(project.id),
    );
    for (const [fact] of shared ? [] : data) world.facts.set(fact, [...before, GONE]);
    world.projects.splice(world.projects.indexOf(project), 1);
    if (!shared) world.datasets.splice(world.datasets.indexOf(project.datasetId), 1);
  }),

  createRun: withProject(async (world, project, { tab }) => {
    await world.attempt([], async () => {
      const run = await world.tab(tab).createRun(runDraft(project.id, project.datasetId));
      project.runs.push(run.id);
      world.know(`run/${run.id}/steps`, run.stepsDone);
      world.know(`run/${run.id}/ended`, false);
      world.know(`run/${run.id}/checkpoint`, GONE);
    });
  }),

  checkpoint: withProject(async (world, { runs }, { tab, which }) => {
    const runId = world.pick(runs, which);
    if (runId === undefined) return;
    const step = world.next();
    const [state, best] = [bytesOf(step, 150 + (which % 3) * 60), bytesOf(step + 7, 90)];
    const value = [step, numbersIn(state), numbersIn(best)];
    await world.attempt([[`run/${runId}/checkpoint`, value]], () =>
      world.tab(tab).putCheckpoint(checkpointDraft(runId, step), state, best),
    );
  }),

  progress: withProject(async (world, { runs }, { tab, which }) => {
    const runId = world.pick(runs, which);
    if (runId === undefined) return;
    const stepsDone = world.next();
    await world.attempt([[`run/${runId}/steps`, stepsDone]], () =>
      world.tab(tab).updateRun(runId, { stepsDone }),
    );
  }),

  finish: withProject(async (world, project, { tab, which }) => {
    const runId = world.pick(project.runs, which);
    if (runId === undefined) return;
    const seed = world.next();
    const changes = [
      [`run/${runId}/ended`, true],
      [`run/${runId}/checkpoint`, GONE],
    ] as const;
    await world.attempt(changes, async () => {
      const { id, datasetId } = project;
      const draft = modelDraft(id, runId, datasetId);
      const end = { status: 'done', finishedAt: 1 } as const;
      const { model } = await world.tab(tab).finishRun(runId, end, draft, bytesOf(seed, 150));
      if (!project.models.includes(model.id)) knowModel(world, project, model, seed);
    });
  }),

  putModel: withProject(async (world, project, { tab }) => {
    const seed = world.next();
    await world.attempt([], async () => {
      const { id, datasetId } = project;
      const draft = modelDraft(id, null, datasetId);
      const model = await world.tab(tab).putModel(draft, bytesOf(seed, 150));
      knowModel(world, project, model, seed);
    });
  }),

  champion: withProject(async (world, { models }, { tab, which }) => {
    const id = world.pick(models, which);
    if (id === undefined) return;
    // All of them change at once: one is champion, the others are not.
    for (const other of models) world.facts.delete(`model/${other}/stage`);
    await world.attempt([], async () => {
      await world.tab(tab).setStage(id, 'champion');
      world.know(`model/${id}/stage`, 'champion');
    });
  }),

  rename: withProject(async (world, { models }, { tab, which }) => {
    const id = world.pick(models, which);
    if (id === undefined) return;
    const name = `model ${world.next()}`;
    await world.attempt([[`model/${id}/name`, name]], () => world.tab(tab).renameModel(id, name));
  }),

  trashModel: withProject(async (world, { models }, { tab, which }) => {
    const id = world.pick(models, which);
    if (id === undefined) return;
    await world.attempt([[`model/${id}/trashed`, true]], () => world.tab(tab).trashModel(id));
  }),

  evaluate: withProject(async (world, project, { tab, which }) => {
    const modelId = world.pick(project.models, which);
    if (modelId === undefined) return;
    await world.attempt([], async () => {
      const draft = evaluationDraft(project.id, modelId, project.datasetId);
      const { id } = await world.tab(tab).putEvaluation(draft, PREDICTIONS);
      world.know(`evaluation/${modelId}/${id}`, PREDICTIONS);
    });
  }),

  duplicate: withProject(async (world, { id }, { tab }) => {
    await world.attempt([], async () => {
      const copy = await world.tab(tab).duplicateProject(id);
      world.know(`project/${copy.id}/name`, copy.name);
    });
  }),

  exportAndImport: withProject(async (world, { id }, { tab, which }) => {
    await world.attempt([], async () => {
      const { file } = await world.tab(tab).exportProject(id, { withData: which % 2 === 0 });
      const { id: newId, name } = await world.tab(tab + 1).importProject(file);
      world.know(`project/${newId}/name`, name);
    });
  }),

  async collect(world, { tab, which }) {
    // Hours later what was pending counts as garbage.
    if (which % 2 === 0) world.now += 2 * 60 * 60 * 1000;
    await world.attempt([], () => world.tab(tab).collectGarbage());
  },

  async setting(world, { tab }) {
    await world.attempt([], () => world.tab(tab).setSetting('theme', world.next()));
  },

  reopen: (world, { tab }) => world.reopen(tab % world.tabs.length),
};

function knowModel(world: World, project: KnownProject, model: ModelVersion, seed: number): void {
  project.models.push(model.id);
  world.know(`model/${model.id}/file`, [numbersIn(bytesOf(seed, 150))]);
  world.know(`model/${model.id}/name`, model.name);
  world.know(`model/${model.id}/trashed`, false);
}

function fail(): never {
  throw new Error('A list is empty that cannot be.');
}

/** How often each comes, so that most sequences get somewhere. */
const WEIGHTS: Readonly<Record<string, number>> = {
  importTable: 3,
  createProject: 3,
  edit: 2,
  createRun: 3,
  checkpoint: 4,
  putModel: 2,
};

export function commands(longest: number): fc.Arbitrary<Iterable<fc.AsyncCommand<World, World>>> {
  const draw = fc.record({ tab: fc.nat(1), which: fc.nat(41) });
  const kinds = Object.entries(STEPS).flatMap(([name, act]) => {
    const one = draw.map((drawn) => new Step(name, act, drawn));
    return Array<typeof one>(WEIGHTS[name] ?? 1).fill(one);
  });
  return fc.commands(kinds, { maxCommands: longest, size: 'max' });
}

/** Begins every sequence, so that there is something to lose. */
export async function begin(world: World): Promise<void> {
  for (const index of [0, 1]) await world.reopen(index);
  for (const name of ['importTable', 'createProject', 'createRun', 'checkpoint', 'putModel']) {
    await STEPS[name]?.(world, { tab: 0, which: 0 });
  }
}
