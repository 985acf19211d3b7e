import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { DatasetVersion, Project, TaskType } from '../../../src/protocol/entities';
import { parseJob, parseJobText } from '../../../src/protocol/job';
import {
  BLUEPRINTS,
  defaultBlueprint,
  defaultRecipe,
  defaultSplit,
  defaultTraining,
  OPTIMISERS,
} from '../../../src/services/defaults';
import { jobOf, projectSettings } from '../../../src/services/job-settings';

function table(rows: number): DatasetVersion {
  const source = { kind: 'file', name: 'clinic.csv' } as const;
  const manifest = { format: 1, type: 'table', name: 'clinic', rows, columns: [], source } as const;
  return { id: 'd', createdAt: 0, manifest };
}

function project(rows = 400, task: TaskType = 'classification'): Project {
  return {
    id: 'p',
    name: 'Clinic',
    createdAt: 0,
    updatedAt: 0,
    trashedAt: null,
    temporary: false,
    starter: null,
    datasetId: 'd',
    target: 'outcome',
    task,
    gates: [{ kind: 'size', threshold: 1000 }],
    recipe: defaultRecipe(),
    split: defaultSplit(4),
    blueprint: defaultBlueprint(table(rows)),
    training: defaultTraining(table(rows), task),
    seed: 4,
    executor: 'auto',
    testOpened: 0,
    revision: 1,
  };
}

describe('settings from a job', () => {
  it('are the defaults where the job says nothing', () => {
    const made = project();
    const settings = projectSettings(parseJob({ format: 1, data: { file: 'a.csv' } }), made);
    expect(settings).toEqual({
      recipe: made.recipe,
      split: made.split,
      blueprint: made.blueprint,
      training: made.training,
      executor: 'auto',
      seed: 4,
    });
  });

  it('follow the job and fill in what it leaves out', () => {
    const job = parseJob({
      format: 1,
      data: { file: 'a.csv' },
      split: { train: 0.6, validation: 0.2, test: 0.2 },
      blueprint: { kind: 'cnn', channels: [8] },
      training: { optimiser: { kind: 'sgd' }, schedule: { kind: 'constant' }, epochs: 2 },
      seed: 9,
      executor: 'wasm',
    });
    const settings = projectSettings(job, project());
    expect(settings.split).toMatchObject({ train: 0.6, test: 0.2, seed: 9, kind: 'stratified' });
    expect(settings.blueprint).toEqual({ ...BLUEPRINTS.cnn, channels: [8] });
    expect(settings.training?.optimiser).toEqual(OPTIMISERS.sgd);
    expect(settings.training?.schedule).toEqual({ kind: 'constant', warmup: 0 });
    expect(settings.training).toMatchObject({ epochs: 2, batchSize: 16, loss: 'softmax-ce' });
    expect(settings).toMatchObject({ executor: 'wasm', seed: 9 });
  });

  it('carry how a step is computed, there and back', () => {
    const how = {
      accumulate: 4,
      memory: 2 ** 28,
      precision: 'float16',
      lossScale: 1024,
      plan: 'tuned',
    } as const;
    const job = parseJob({ format: 1, data: { file: 'a.csv' }, training: how });
    const { training } = projectSettings(job, project());
    expect(training).toMatchObject(how);
    const exported = jobOf({ ...project(), training }, { file: 'a.csv' });
    expect(exported.training).toMatchObject(how);
    for (const [key, wrong] of [
      ['accumulate', 0],
      ['memory', 'little'],
      ['precision', 'float8'],
      ['lossScale', 1000],
      ['lossScale', 2 ** 25],
      ['plan', 'quick'],
    ] as const) {
      const made = { format: 1, data: { file: 'a.csv' }, training: { [key]: wrong } };
      expect(() => parseJob(made)).toThrow(`"training.${key}"`);
    }
  });

  it('come back whole when a project is exported as a job', () => {
    const made = project(5000, 'regression');
    const job = jobOf(made, { file: 'clinic.csv' });
    const { recipe, split, blueprint, training, executor, seed } = made;
    expect(projectSettings(job, { ...project(), recipe: { ...recipe, use: { x: true } } })).toEqual(
      { recipe, split, blueprint, training, executor, seed },
    );
    expect(job.goal).toEqual({ target: 'outcome', task: 'regression', gates: made.gates });
  });
});

describe('defaults', () => {
  it.each([
    [60, 16],
    [344, 16],
    [10_000, 128],
    [200_000, 256],
  ])('train a table of %i rows in batches of %i for a bounded number of steps', (rows, batch) => {
    const { epochs, batchSize } = defaultTraining(table(rows), 'classification');
    expect(batchSize).toBe(batch);
    expect(epochs).toBeGreaterThanOrEqual(5);
    expect(epochs).toBeLessThanOrEqual(200);
  });
});

it('docs/example.job.json is a valid job', () => {
  const text = readFileSync(new URL('../../../docs/example.job.json', import.meta.url), 'utf8');
  expect(parseJobText(text).data.embedded).toBe('penguins');
});
