import { describe, expect, it } from 'vitest';
import schema from '../../../docs/job.schema.json';
import { AppError } from '../../../src/core/errors';
import { BlueprintSchema, JobSchema, parseJob, parseJobText } from '../../../src/protocol/job';

const data = { file: 'clinic.csv' };

function refusal(value: unknown): string {
  try {
    parseJob(value);
  } catch (error) {
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: 'job/invalid' });
    return (error as AppError).message;
  }
  return 'accepted';
}

describe('job file', () => {
  it('needs nothing but the data', () => {
    expect(parseJob({ format: 1, data: { embedded: 'digits' } }).data.embedded).toBe('digits');
  });

  it('keeps what is said', () => {
    const job = {
      format: 1,
      data,
      goal: { target: 'dose', task: 'regression', gates: [{ kind: 'size', threshold: 1e5 }] },
      split: { train: 0.6, validation: 0.2, test: 0.2, seed: 3 },
      blueprint: { kind: 'mlp', hidden: [8] },
      training: { epochs: 3, optimiser: { kind: 'sgd' }, augment: null, maxSeconds: 20 },
      compression: 'none',
      seed: 7,
      executor: 'wasm',
    };
    expect(parseJob(job)).toEqual(job);
  });

  it.each([
    [{ data }, '"format" is missing'],
    [{ format: 2, data }, '"format" must be 1, not 2'],
    [{ format: 1 }, '"data" is missing'],
    [{ format: 1, data: {} }, 'exactly one of "file", "folder"'],
    [{ format: 1, data: { file: 'a', embedded: 'digits' } }, 'exactly one of "file", "folder"'],
    [{ format: 1, data, blueprint: { kind: 'pretrained' } }, '"blueprint.source" is missing'],
    [
      {
        format: 1,
        data,
        blueprint: { kind: 'pretrained', source: { file: 'a.onnx' }, strategy: { kind: 'all' } },
      },
      "not 'all'",
    ],
    [{ format: 1, data: { file: ' ' } }, 'In "data.file", the text must not be empty'],
    [{ format: 1, data, trainning: {} }, '"trainning" is not a known key'],
    [{ format: 1, data, training: { epoch: 1 } }, '"training.epoch" is not a known key'],
    [
      { format: 1, data, training: { epochs: 1.5 } },
      '"training.epochs", it must be a whole number',
    ],
    [{ format: 1, data, training: { batchSize: 0 } }, '"training.batchSize" must be >=1, not 0'],
    [{ format: 1, data, blueprint: { kind: 'mlp', hidden: [4, 0] } }, '"blueprint.hidden.1"'],
    [
      { format: 1, data, split: { train: 0.5, validation: 0.2, test: 0.2 } },
      'In "split", the three shares must add up to 1',
    ],
    [{ format: 1, data, blueprint: { kind: 'forest' } }, "not 'forest'"],
  ])('refuses %j', (job, words) => {
    expect(refusal(job)).toContain(words);
  });

  it('says where the text stops being JSON', () => {
    expect(() => parseJobText('{"format": 1,')).toThrow(/not JSON/);
  });

  it('is described by docs/job.schema.json with the same keys', () => {
    expect(Object.keys(schema.properties).sort()).toEqual(Object.keys(JobSchema.entries).sort());
    const { training, goal, recipe } = JobSchema.entries;
    const kinds = BlueprintSchema.options.map(({ entries }) => entries);
    for (const { properties } of schema.properties.blueprint.oneOf) {
      const alike = kinds.find(({ kind }) => kind.literal === properties.kind.const);
      expect(Object.keys(properties).sort()).toEqual(Object.keys(alike ?? {}).sort());
    }
    for (const [described, checked] of [
      [schema.properties.training, training],
      [schema.properties.goal, goal],
      [schema.properties.recipe, recipe],
    ] as const) {
      expect(Object.keys(described.properties).sort()).toEqual(
        Object.keys(checked.wrapped.entries).sort(),
      );
    }
  });
});
