/** A locked project with one of everything, and ways past the store to change what lies on the disk. */
import { expect } from 'vitest';
import type { Id } from '../../../src/protocol/entities';
import type { Store } from '../../../src/storage/store';
import {
  PREDICTIONS,
  bytesOf,
  checkpointDraft,
  evaluationDraft,
  finished,
  modelDraft,
  numbersIn,
  projectDraft,
  rawDatabase,
  runDraft,
  tableManifest,
} from './fixtures';

export const PASSPHRASE = 'four words of it';
/** Stands in every text of the records. */
export const CANARY = 'canary-7f3a';

export interface Locked {
  readonly projectId: Id;
  readonly recoveryKey: string;
  readonly datasetId: Id;
  readonly runId: Id;
  readonly modelId: Id;
  readonly evaluationId: Id;
}

/** One of everything, imported into a lock from the start. */
export async function locked(store: Store, word = CANARY): Promise<Locked> {
  const { projectId, recoveryKey } = await store.createVault('Locked project', PASSPHRASE);
  return { recoveryKey, ...(await filled(store, projectId, word)) };
}

async function filled(store: Store, into: Id, word: string) {
  const source = { kind: 'file', name: `${word}.csv` } as const;
  const importId = await store.beginImport({ source, bytes: 64, into });
  const text = new TextEncoder().encode(`cells: ${word} ${into}`);
  const chunk = await store.putChunk(text.buffer, importId);
  const dataset = await store.putDataset(tableManifest(chunk, `${word}.csv`), importId);
  const draft = { ...projectDraft(dataset.id), name: `Project ${word}` };
  const project = await store.createProject(draft, into);
  const run = await store.createRun({ ...runDraft(project.id, dataset.id), name: `Run ${word}` });
  await store.putCheckpoint(checkpointDraft(run.id, 1), bytesOf(3), bytesOf(4));
  const onnx = new TextEncoder().encode(`onnx: ${word}`);
  const model = await store.putModel(modelDraft(project.id, run.id, dataset.id), onnx.buffer);
  const evaluation = await store.putEvaluation(
    evaluationDraft(project.id, model.id, dataset.id),
    PREDICTIONS,
  );
  return {
    projectId: project.id,
    datasetId: dataset.id,
    runId: run.id,
    modelId: model.id,
    evaluationId: evaluation.id,
  };
}

export async function rows<T>(name: string, table: string): Promise<T[]> {
  const database = await rawDatabase(name);
  try {
    return await finished<T[]>(database.transaction(table).objectStore(table).getAll());
  } finally {
    database.close();
  }
}

export async function change(name: string, table: string, row: object): Promise<void> {
  const database = await rawDatabase(name);
  try {
    await finished(database.transaction(table, 'readwrite').objectStore(table).put(row));
  } finally {
    database.close();
  }
}

export async function remove(name: string, table: string, key: string): Promise<void> {
  const database = await rawDatabase(name);
  try {
    await finished(database.transaction(table, 'readwrite').objectStore(table).delete(key));
  } finally {
    database.close();
  }
}

export function flipped(bytes: ArrayBuffer, at: number): ArrayBuffer {
  const copy = new Uint8Array(bytes.slice());
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy.buffer;
}

const everyTable: readonly (readonly [string, readonly string[]])[] = [
  [
    'core',
    [
      'datasets',
      'links',
      'projects',
      'runs',
      'checkpoints',
      'models',
      'evaluations',
      'settings',
      'pretrained',
      'imports',
      'writers',
      'vaults',
      'sealed',
    ],
  ],
  ['cache', ['chunks', 'chunkInfo', 'features', 'featureInfo']],
];

/** Both databases as one text; bytes as Latin letters. */
export async function wholeDisk(name: string): Promise<string> {
  const parts: string[] = [];
  for (const [half, tables] of everyTable) {
    for (const table of tables) {
      for (const row of await rows(`${name}-${half}`, table)) {
        parts.push(
          JSON.stringify(row, (_, value: unknown) =>
            value instanceof ArrayBuffer ? new TextDecoder('latin1').decode(value) : value,
          ),
        );
      }
    }
  }
  return parts.join('\n');
}

export async function expectWhole(store: Store, made: Locked): Promise<void> {
  const { projectId, datasetId, runId, modelId, evaluationId } = made;
  expect((await store.getProject(projectId)).name).toBe(`Project ${CANARY}`);
  const { manifest } = await store.getDataset(datasetId);
  const [column] = manifest.type === 'table' ? manifest.columns : [];
  const cells = await store.getChunk(column?.chunks[0] ?? { sha256: '', storageKey: '', bytes: 0 });
  expect(new TextDecoder().decode(cells)).toBe(`cells: ${CANARY} ${projectId}`);
  expect((await store.getRun(runId)).curve[1]?.loss).toBeNaN();
  expect((await store.listRuns(projectId)).map(({ id }) => id)).toEqual([runId]);
  expect(numbersIn((await store.getCheckpoint(runId))?.state)).toEqual(numbersIn(bytesOf(3)));
  const model = await store.getModel(modelId);
  expect(new TextDecoder().decode(await store.getChunk(model.file))).toBe(`onnx: ${CANARY}`);
  expect(await store.getPredictions(evaluationId)).toEqual(PREDICTIONS);
}
