/** A parser that never answers is ended, and the person is told; nothing waits for ever. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createDataApi } from '../../../src/data/api';
import type { DataApi } from '../../../src/protocol/api';
import { BLOB_RECIPE } from '../../support/blobs';
import { memoryStore, readStatic } from '../../support/data';
import { STRIPES_RECIPE } from '../../support/tiny-body';

const quiet = () => undefined;
const never = () => new Promise<never>(quiet);

let ended = 0;
let api: DataApi;

beforeEach(() => {
  vi.useFakeTimers();
  ended = 0;
  api = createDataApi({
    openStore: () => memoryStore(),
    spawnParser: () => ({
      api: {
        ...{ parseTable: never, parseCells: never, openZip: never, measurePicture: never },
        ...{ decodePicture: never, cutSheet: never, readPretrained: never, checkModel: never },
      },
      failed: never(),
      terminate: () => ended++,
    }),
    readStatic,
  });
  api.connectStore(new MessageChannel().port1);
});

afterEach(() => {
  vi.useRealTimers();
});

const file = new Blob(['x']);
const picked = [{ path: 'net.onnx', file }];

describe('a parser that never answers is ended', () => {
  it.each<[string, number, () => Promise<unknown>]>([
    ['over a table', 11 * 60, () => api.importTable('c', file, { name: 'a', kind: 'file' }, quiet)],
    [
      'over a table to predict',
      11 * 60,
      () => api.readForPrediction('c', file, BLOB_RECIPE, quiet),
    ],
    ['over a picture', 60, () => api.readPicture('c', file, STRIPES_RECIPE)],
    ['over a zip', 60, () => api.surveyPictures('c', { kind: 'zip', file }, quiet)],
    ['over a model to start from', 120, () => api.readPretrained('c', picked, null, quiet)],
    ['over a model to look at', 120, () => api.checkModel('c', file)],
  ])('%s', async (_, seconds, call) => {
    const outcome = call().catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync((seconds - 1) * 1000);
    expect(ended).toBe(0);
    await vi.advanceTimersByTimeAsync(2000);
    expect(await outcome).toMatchObject({ code: 'data/too-slow' });
    expect(ended).toBeGreaterThan(0);
  });
});
