/**
 * What follows from other records where a vault's own record of it does not open: which data the project keeps, and a
 * project to stand in for the damaged one, set up as its newest run was. In memory only; an edit writes it.
 */
import type { Id, Project, Run } from '../../protocol/entities';
import type { VaultRow } from '../../protocol/vault';
import type { CoreDatabase } from '../schema';
import type { Damage } from './damage';

export async function standIn(
  core: CoreDatabase,
  damage: Damage,
  vault: Pick<VaultRow, 'projectId' | 'label' | 'createdAt'>,
): Promise<void> {
  const { projectId } = vault;
  const { projects, links, datasets, runs, models, evaluations } = core;
  const tables = [projects, links, datasets, runs, models, evaluations];
  const lost = await damage.has('projects', projectId);
  const made = await core.transaction('rw', tables, async () => {
    if ((await projects.get(projectId)) !== undefined) return null;
    const all = await runs.toArray();
    const kept = [...all, ...(await models.toArray()), ...(await evaluations.toArray())];
    // Nothing was ever put into it.
    if (kept.length === 0 && !lost) return null;
    const [data] = await datasets.toCollection().primaryKeys();
    const tests = await evaluations.filter(({ part }) => part === 'test').count();
    const project = { ...asNewest(all, data ?? null), ...vaultProject(vault), testOpened: tests };
    await projects.add(project);
    return project;
  });
  if (made) {
    await damage.missing('projects', projectId, 'the project itself: its name, goal and settings');
  }
  if (damage.size === 0) return;
  await core.transaction('rw', tables, async () => {
    for (const datasetId of await datasets.toCollection().primaryKeys()) {
      await links.put({ projectId, datasetId });
    }
  });
}

function vaultProject({
  projectId,
  label,
  createdAt,
}: Pick<VaultRow, 'projectId' | 'label' | 'createdAt'>) {
  return {
    id: projectId,
    name: label,
    createdAt,
    updatedAt: createdAt,
    trashedAt: null,
    temporary: false,
    starter: null,
    gates: [],
    revision: 1,
  };
}

type Setting = Pick<
  Project,
  | 'datasetId'
  | 'target'
  | 'task'
  | 'recipe'
  | 'split'
  | 'blueprint'
  | 'training'
  | 'seed'
  | 'executor'
>;

function asNewest(runs: readonly Run[], data: Id | null): Setting {
  const [newest] = runs
    .filter(({ role }) => role === 'model')
    .sort((a, b) => b.createdAt - a.createdAt);
  if (newest) {
    const { datasetId, target, task, recipe, split, blueprint, training, seed, executor } =
      newest.config;
    return { datasetId, target, task, recipe, split, blueprint, training, seed, executor };
  }
  return {
    datasetId: data,
    target: null,
    task: null,
    recipe: { format: 1, use: {}, imputeNumeric: 'median', standardise: true },
    split: { kind: 'stratified', train: 0.7, validation: 0.15, test: 0.15, seed: 1 },
    blueprint: null,
    training: null,
    seed: 1,
    executor: 'auto',
  };
}
