/** The rail: a stage is done when the person has something there, and baselines are not theirs. */
import { describe, expect, test } from 'vitest';
import type { Evaluation, ModelVersion, Project, Run } from '../../../src/protocol/entities';
import { stageStatuses } from '../../../src/state/stages';
import { runConfig } from '../../support/run-config';

const CONFIG = runConfig({ datasetId: 'd', target: 't', task: 'classification' });
const { recipe, split, blueprint, training } = CONFIG;

/** Records of which only what the rail looks at is filled in. */
function bare<T extends object>(fields: Partial<T>): T {
  return Object.assign(Object.create(null), fields);
}
const PROJECT = bare<Project>({
  id: 'p',
  datasetId: 'd',
  target: 't',
  task: 'classification',
  recipe,
  split,
  blueprint,
  training,
});
const run = (id: string, role: Run['role'], change: Partial<Run> = {}) =>
  bare<Run>({ id, number: 1, role, config: CONFIG, status: 'done', ...change });
const model = (id: string, runId: string | null, change: Partial<ModelVersion> = {}) =>
  bare<ModelVersion>({ id, runId, parentId: null, trashedAt: null, ...change });
const evaluation = (modelVersionId: string) => bare<Evaluation>({ id: 'e', modelVersionId });

function statuses(
  runs: readonly Run[],
  models: readonly ModelVersion[],
  evaluations: readonly Evaluation[] = [],
) {
  const stages = stageStatuses({ project: PROJECT, runs, models, evaluations });
  return [stages.train, stages.evaluate, stages.versions, stages.try].map(({ state }) => state);
}

describe('the stages after Train', () => {
  const baseline = run('b', 'baseline');
  const ofBaseline = model('mb', 'b');

  test('baselines alone leave them empty, judged or not', () => {
    const nothing = ['empty', 'empty', 'empty', 'empty'];
    expect(statuses([baseline], [ofBaseline])).toEqual(nothing);
    expect(statuses([baseline], [ofBaseline], [evaluation('mb')])).toEqual(nothing);
  });

  test('a model of a run counts, until it lies in the trash', () => {
    const runs = [baseline, run('r', 'model', { number: 2 })];
    const made = model('m', 'r');
    expect(statuses(runs, [ofBaseline, made], [evaluation('m')])).toEqual(
      Array.from({ length: 4 }, () => 'done'),
    );
    const trashed = { ...made, trashedAt: 1 };
    expect(statuses(runs, [ofBaseline, trashed]).slice(2)).toEqual(['empty', 'empty']);
  });

  test('an imported model counts without any run', () => {
    expect(statuses([], [model('m', null, { kind: 'imported' })])).toEqual([
      'empty',
      'empty',
      'done',
      'done',
    ]);
  });
});
