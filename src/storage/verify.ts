/** The store's invariants, checked one by one. Every problem is a sentence; none is healthy. */
import type { ChunkRef } from '../protocol/entities';
import type { PretrainedModel } from '../protocol/pretrained';
import { unreadableRecord } from '../protocol/storage';
import type { UnreadableRecord } from '../protocol/storage';
import type { Bundle } from './bundle';
import { isHeld } from './chunks';
import type { StoreContext } from './context';
import { isDamage } from './errors';
import { isIntact } from './intact';
import {
  checkpointChunks,
  evaluationChunks,
  modelChunks,
  referencedKeys,
  storedDatasetChunks,
} from './references';
import type { CheckpointRow, DatasetLink } from './schema';
import { SCHEMA_VERSION, versionOnDisk } from './schema';
import { vaultOfPlace } from './vault/places';

interface Everything extends Omit<Bundle, 'project'> {
  readonly projects: readonly Bundle['project'][];
  readonly checkpoints: readonly CheckpointRow[];
  readonly links: readonly DatasetLink[];
  readonly pretrained: readonly PretrainedModel[];
}

export async function verifyStore(context: StoreContext): Promise<readonly string[]> {
  const { core, cache } = context;
  const problems: string[] = [];
  for (const database of [core, cache]) {
    const version = versionOnDisk(database);
    if (version !== SCHEMA_VERSION) problems.push(`${database.name} has schema ${version}.`);
  }
  const [all, unreadable] = await context.unreadable.during(() => readEverything(context));
  problems.push(...unreadable.map((record) => unreadableRecord(record).message));
  // What names them is not to blame, and what they name is not known.
  problems.push(...danglingReferences(all, unreadable), ...brokenRules(all));
  for (const dataset of all.datasets) {
    if (!(await isIntact(dataset))) {
      problems.push(`The manifest of dataset ${dataset.id} does not match its id.`);
    }
  }
  problems.push(...(await damagedChunks(context, all)));
  const referenced = referencedKeys(all);
  const imports = new Set(all.imports.map(({ id }) => id));
  const vaults = new Set(all.vaults);
  for (const [projectId] of all.sealed) {
    if (!vaults.has(projectId))
      problems.push(`A sealed record names the missing lock ${projectId}.`);
  }
  for (const info of await context.chunks.list()) {
    const owned = vaults.has(vaultOfPlace(info.storageKey) ?? '');
    const spared =
      context.sparesAll || owned || context.chunks.inGrace(info) || isHeld(info, imports);
    if (!referenced.has(info.storageKey) && !spared && unreadable.length === 0) {
      problems.push(`Nothing names the chunk ${info.storageKey} (${info.bytes} bytes).`);
    }
  }
  for (const key of await context.chunks.torn()) {
    problems.push(`The chunk ${key} and its journal entry disagree.`);
  }
  return problems;
}

function readEverything(context: StoreContext) {
  const { core } = context;
  return context.read('everything', core.tables, async () => ({
    projects: await core.projects.toArray(),
    datasets: await core.datasets.toArray(),
    links: await core.links.toArray(),
    runs: await core.runs.toArray(),
    models: await core.models.toArray(),
    evaluations: await core.evaluations.toArray(),
    checkpoints: await core.checkpoints.toArray(),
    pretrained: await core.pretrained.toArray(),
    imports: await core.imports.toArray(),
    vaults: await core.vaults.toCollection().primaryKeys(),
    sealed: await core.sealed.toCollection().primaryKeys(),
  }));
}

function danglingReferences(all: Everything, unreadable: readonly UnreadableRecord[]): string[] {
  const ids = {
    project: new Set(all.projects.map((row) => row.id)),
    dataset: new Set(all.datasets.map((row) => row.id)),
    run: new Set(all.runs.map((row) => row.id)),
    model: new Set(all.models.map((row) => row.id)),
  };
  for (const { table, key } of unreadable) {
    const kind = table.replace(/s$/, '');
    if (kind in ids) ids[kind as keyof typeof ids].add(key);
  }
  const links = new Set(all.links.map((link) => `${link.projectId} ${link.datasetId}`));
  const problems: string[] = [];
  const check = (owner: string, kind: keyof typeof ids, id: string | null) => {
    if (id !== null && !ids[kind].has(id))
      problems.push(`${owner} names the missing ${kind} ${id}.`);
  };
  const checkDataset = (owner: string, projectId: string, id: string | null) => {
    check(owner, 'dataset', id);
    if (id !== null && !links.has(`${projectId} ${id}`)) {
      problems.push(`${owner} uses dataset ${id} without a link.`);
    }
  };
  for (const link of all.links) {
    check('A link', 'project', link.projectId);
    check('A link', 'dataset', link.datasetId);
  }
  for (const { id, datasetId } of all.projects) checkDataset(`Project ${id}`, id, datasetId);
  for (const { id, projectId, modelVersionId, config } of all.runs) {
    check(`Run ${id}`, 'project', projectId);
    check(`Run ${id}`, 'model', modelVersionId);
    checkDataset(`Run ${id}`, projectId, config.datasetId);
  }
  for (const { id, projectId, runId, parentId, datasetId } of all.models) {
    check(`Model ${id}`, 'project', projectId);
    check(`Model ${id}`, 'run', runId);
    check(`Model ${id}`, 'model', parentId);
    checkDataset(`Model ${id}`, projectId, datasetId);
  }
  for (const { id, projectId, modelVersionId, datasetId } of all.evaluations) {
    check(`Evaluation ${id}`, 'project', projectId);
    check(`Evaluation ${id}`, 'model', modelVersionId);
    checkDataset(`Evaluation ${id}`, projectId, datasetId);
  }
  for (const { runId } of all.checkpoints) check('A checkpoint', 'run', runId);
  return problems;
}

function brokenRules(all: Everything): string[] {
  const problems: string[] = [];
  const duplicates = (what: string, keys: readonly string[]) => {
    if (new Set(keys).size !== keys.length) problems.push(`Two ${what} of a project are the same.`);
  };
  duplicates(
    'run numbers',
    all.runs.map((run) => `${run.projectId} ${run.number}`),
  );
  duplicates(
    'model numbers',
    all.models.map((model) => `${model.projectId} ${model.number}`),
  );
  duplicates(
    'champions',
    all.models.filter((model) => model.stage === 'champion').map((model) => model.projectId),
  );
  for (const { runId, slots, current } of all.checkpoints) {
    if (!slots[current]) problems.push(`The checkpoint of run ${runId} points to an empty slot.`);
  }
  return problems;
}

async function damagedChunks({ chunks }: StoreContext, all: Everything): Promise<string[]> {
  const named: [string, readonly ChunkRef[]][] = [
    ...all.datasets.map((row): [string, readonly ChunkRef[]] => [
      `Dataset “${row.manifest.name}”`,
      storedDatasetChunks(row),
    ]),
    ...all.models.map((row): [string, readonly ChunkRef[]] => [
      `Model “${row.name}”`,
      modelChunks(row),
    ]),
    ...all.pretrained.map((row): [string, readonly ChunkRef[]] => [
      `The pretrained model “${row.name}”`,
      row.chunks,
    ]),
    ...all.evaluations.map((row): [string, readonly ChunkRef[]] => [
      `Evaluation ${row.id}`,
      evaluationChunks(row),
    ]),
    ...all.checkpoints.map((row): [string, readonly ChunkRef[]] => [
      `The checkpoint of run ${row.runId}`,
      checkpointChunks(row),
    ]),
  ];
  const problems: string[] = [];
  for (const [owner, refs] of named) {
    for (const ref of refs) {
      try {
        await chunks.get(ref);
      } catch (error) {
        if (!isDamage(error)) throw error;
        problems.push(`${owner}: ${error.message}`);
      }
    }
  }
  return problems;
}
