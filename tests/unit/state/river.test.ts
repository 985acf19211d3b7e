/** The river of versions: what stands where, what is joined, and what a click lights. */
import { describe, expect, test } from 'vitest';
import type { Evaluation, ModelVersion, Project, Run } from '../../../src/protocol/entities';
import { companionOf, evaluationOf, rankedModels } from '../../../src/state/model-choice';
import { ancestry, layOutRiver } from '../../../src/state/river';
import { runConfig } from '../../support/run-config';

const CONFIG = runConfig({ datasetId: 'd', target: 't', task: 'classification' });

/** Records of which only what the river looks at is filled in. */
function model(id: string, number: number, change: Partial<ModelVersion> = {}): ModelVersion {
  const plain: Partial<ModelVersion> = {
    id,
    number,
    name: id,
    kind: 'float32',
    stage: 'draft',
    runId: `r${number}`,
    parentId: null,
    datasetId: 'd',
    ...change,
  };
  return Object.assign(Object.create(null), plain);
}
function run(number: number, change: Partial<Run> = {}): Run {
  const plain: Partial<Run> = {
    id: `r${number}`,
    number,
    role: 'model',
    config: CONFIG,
    ...change,
  };
  return Object.assign(Object.create(null), plain);
}
function evaluation(id: string, modelVersionId: string, part: Evaluation['part']): Evaluation {
  const plain: Partial<Evaluation> = { id, modelVersionId, part, datasetId: 'd' };
  return Object.assign(Object.create(null), plain);
}
const { recipe, split, blueprint, training } = CONFIG;
const PROJECT: Project = Object.assign(Object.create(null), {
  ...{ id: 'p', datasetId: 'd', target: 't', task: 'classification' },
  ...{ recipe, split, blueprint, training },
});

const MODELS = [
  model('base', 1),
  model('old', 2, { stage: 'retired' }),
  model('best', 3, { stage: 'champion' }),
  model('int8', 4, { kind: 'int8-static', parentId: 'best', runId: null }),
  model('foreign', 5, { kind: 'imported', runId: null }),
];
const RUNS = [run(1, { role: 'baseline' }), run(2), run(3)];
const EVALUATIONS = [
  evaluation('e1', 'best', 'validation'),
  evaluation('e2', 'best', 'test'),
  evaluation('e3', 'int8', 'validation'),
];
const river = layOutRiver({
  project: PROJECT,
  models: MODELS,
  runs: RUNS,
  evaluations: EVALUATIONS,
});
const nodeOf = (id: string) => river.nodes.find((node) => node.id === id);

describe('layOutRiver', () => {
  test('one row a model: the champion first, its copy beneath it, baselines last', () => {
    const rows = river.nodes.filter(({ kind }) => kind === 'model' || kind === 'copy');
    expect(rows.sort((a, b) => a.row - b.row).map(({ recordId }) => recordId)).toEqual([
      'best',
      'int8',
      'foreign',
      'old',
      'base',
    ]);
    expect(river.rows).toBe(5);
  });

  test('an evaluation of the sealed part stands for the model', () => {
    expect(nodeOf('evaluation:e2')?.from).toEqual(['model:best']);
    expect(nodeOf('evaluation:e1')).toBeUndefined();
  });

  test('the champion path is thick from the data to its evaluation, and nowhere else', () => {
    const thick = river.edges.filter(({ champion }) => champion);
    expect(thick.map(({ from, to }) => `${from.id} ${to.id}`).sort()).toEqual([
      'data:d run:r3',
      'model:best evaluation:e2',
      'run:r3 model:best',
    ]);
  });

  test('copies are thin, the retired is dashed, and an imported model flows from nothing', () => {
    const to = (id: string) => river.edges.find((edge) => edge.to.id === id);
    expect(to('copy:int8')).toMatchObject({ thin: true, dashed: false });
    expect(to('model:old')).toMatchObject({ dashed: true });
    expect(to('model:base')).toMatchObject({ dashed: false });
    expect(to('model:foreign')).toBeUndefined();
  });

  test('a changed setting dashes what was made before it, but never a baseline', () => {
    const changed: Project = { ...PROJECT, target: 'another' };
    const later = layOutRiver({ project: changed, models: MODELS, runs: RUNS, evaluations: [] });
    const dashed = later.nodes.filter(({ kind, faded }) => kind === 'model' && faded);
    expect(dashed.map(({ recordId }) => recordId).sort()).toEqual(['best', 'old']);
  });

  test('a copy whose parent is gone stands by itself', () => {
    const alone = layOutRiver({
      project: PROJECT,
      models: MODELS.filter(({ id }) => id === 'int8'),
      runs: RUNS,
      evaluations: [],
    });
    expect(alone.nodes.map(({ id }) => id)).toEqual(['model:int8']);
  });

  test('ancestry lights everything upstream and nothing beside it', () => {
    expect([...ancestry(river, 'evaluation:e3')].sort()).toEqual([
      'copy:int8',
      'data:d',
      'evaluation:e3',
      'model:best',
      'run:r3',
    ]);
    expect(ancestry(river, null).size).toBe(0);
  });
});

describe('model choice', () => {
  test('the champion, then models newest first, then copies, then baselines', () => {
    const order = rankedModels(MODELS, RUNS).map(({ id }) => id);
    expect(order).toEqual(['best', 'foreign', 'old', 'int8', 'base']);
  });

  test('float and int8 find each other', () => {
    const [, , best, int8] = MODELS;
    if (!best || !int8) throw new Error('The fixture lost its models.');
    expect(companionOf(best, MODELS)?.id).toBe('int8');
    expect(companionOf(int8, MODELS)?.id).toBe('best');
  });

  test('the newest evaluation of the first part that has one', () => {
    expect(evaluationOf('best', EVALUATIONS)?.id).toBe('e2');
    expect(evaluationOf('best', EVALUATIONS, ['validation'])?.id).toBe('e1');
    expect(evaluationOf('old', EVALUATIONS)).toBeNull();
  });
});
