/** The real worker over the real wire: transfers, errors with their codes, a second connection. */
import * as Comlink from 'comlink';
import { afterEach, expect, test } from 'vitest';
import type { StoreApi } from '../../../src/protocol/api';
import { installErrorCodec } from '../../../src/protocol/errors';
import { SCHEMA_VERSION } from '../../../src/storage/schema';
import {
  PREDICTIONS,
  bytesOf,
  checkpointDraft,
  deleteStore,
  evaluationDraft,
  modelDraft,
  numbersIn,
  projectDraft,
  runDraft,
  tableManifest,
} from './fixtures';

installErrorCodec(Comlink.transferHandlers);
let worker: Worker | null = null;

afterEach(async () => {
  worker?.terminate();
  await deleteStore('terrarium');
});

function start(): Comlink.Remote<StoreApi> {
  worker = new Worker(new URL('../../../workers/store.worker.ts', import.meta.url), {
    type: 'module',
  });
  return Comlink.wrap<StoreApi>(worker);
}

test('the worker keeps a project, and another worker may have a connection of its own', async () => {
  const store = start();
  expect(await store.open()).toMatchObject({
    version: SCHEMA_VERSION,
    readOnly: false,
    interrupted: [],
  });
  const bytes = bytesOf(1);
  const chunk = await store.putChunk(Comlink.transfer(bytes, [bytes]));
  expect(bytes.byteLength).toBe(0);
  expect(numbersIn(await store.getChunk(chunk))).toEqual(numbersIn(bytesOf(1)));
  const dataset = await store.putDataset(tableManifest(chunk));
  const project = await store.createProject(projectDraft(dataset.id));
  const model = await store.putModel(modelDraft(project.id, null, dataset.id), bytesOf(2));
  await store.putEvaluation(evaluationDraft(project.id, model.id, dataset.id), PREDICTIONS);
  await expect(store.editProject(project.id, 9, { name: 'Late' })).rejects.toMatchObject({
    name: 'AppError',
    code: 'store/conflict',
    data: { current: 1 },
  });

  const { port1, port2 } = new MessageChannel();
  await store.connect(Comlink.transfer(port2, [port2]));
  const second = Comlink.wrap<StoreApi>(port1);
  expect(await second.getProject(project.id)).toEqual(project);
  const file = await second.exportProject(project.id, { withData: true });
  const imported = await second.importProject(file.file);
  expect((await store.listProjects()).map((row) => row.id)).toContain(imported.id);
  expect(await store.verify()).toEqual([]);
});

test('a worker that dies leaves its run interrupted, with the checkpoint', async () => {
  const store = start();
  await store.open();
  const dataset = await store.putDataset(tableManifest(await store.putChunk(bytesOf(1))));
  const project = await store.createProject(projectDraft(dataset.id));
  const run = await store.createRun(runDraft(project.id, dataset.id));
  await store.putCheckpoint(checkpointDraft(run.id, 7), bytesOf(3), null);
  worker?.terminate();

  const next = start();
  expect((await next.open()).interrupted).toMatchObject([{ id: run.id, status: 'interrupted' }]);
  const found = await next.getCheckpoint(run.id);
  expect(found?.checkpoint.step).toBe(7);
  expect(numbersIn(found?.state)).toEqual(numbersIn(bytesOf(3)));
  expect(await next.verify()).toEqual([]);
});
