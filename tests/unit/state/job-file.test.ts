/** A project's settings as a job file: saved, opened again, and refused where they do not fit. */
import { describe, expect, test } from 'vitest';
import type { DatasetVersion, Project } from '../../../src/protocol/entities';
import { jobEdit, jobText } from '../../../src/state/job-file';
import { runConfig } from '../../support/run-config';

const CONFIG = runConfig({ datasetId: 'd', target: 'species', task: 'classification' });
const { recipe, split, blueprint, training, seed, executor, target, task } = CONFIG;
const PROJECT: Project = Object.assign(Object.create(null), {
  ...{ id: 'p', name: 'Birds', starter: null, datasetId: 'd', target, task, gates: [] },
  ...{ recipe, split, blueprint, training, seed, executor },
});
const column = { storage: 'codes', kind: 'categorical', vocabulary: [], chunks: [] };
const DATASET: DatasetVersion = Object.assign(Object.create(null), {
  manifest: {
    type: 'table',
    columns: [
      { ...column, name: 'species' },
      { ...column, name: 'island' },
    ],
    source: { kind: 'file', name: 'birds.csv' },
  },
});
const refusal = (name: string): string => `no ${name}`;

describe('job files of a project', () => {
  test('name the file that the data came from, and hold no rows', () => {
    const job: unknown = JSON.parse(jobText(PROJECT, DATASET));
    expect(job).toMatchObject({ format: 1, name: 'Birds', data: { file: 'birds.csv' } });
  });

  test('opened in the project that they were saved from they change nothing', () => {
    expect(jobEdit(jobText(PROJECT, DATASET), PROJECT, DATASET, refusal)).toEqual({});
  });

  test('opened in another project they edit only what differs', () => {
    const other: Project = {
      ...PROJECT,
      target: 'island',
      seed: 99,
      blueprint: null,
    };
    const edit = jobEdit(jobText(PROJECT, DATASET), other, DATASET, refusal);
    expect(edit).toEqual({ target: 'species', seed, blueprint });
  });

  test('a target that the data lacks is refused by name', () => {
    const text = jobText({ ...PROJECT, target: 'sex' }, DATASET);
    expect(() => jobEdit(text, PROJECT, DATASET, refusal)).toThrow('no sex');
  });

  test('a file that is no job is refused with what is wrong', () => {
    expect(() => jobEdit('{"format": 2}', PROJECT, DATASET, refusal)).toThrow(/format/);
  });
});
