/** `.terrarium` files: whole round trips, what is left out, and every way in which a file may lie. */
import {
  TextReader,
  Uint8ArrayReader,
  Uint8ArrayWriter,
  ZipWriter,
} from '@zip.js/zip.js/lib/zip-core-native.js';
import { beforeEach, describe, expect, test } from 'vitest';
import { sha256Hex } from '../../../src/core/hash';
import type { Store } from '../../../src/storage/store';
import { PREDICTIONS, bytesOf, fill, freshStores, modelDraft, numbersIn } from './fixtures';
import type { Filled } from './fixtures';
import { AS_OURS, editText, relist, rezip, unzip } from './zip-edit';
import type { Entries } from './zip-edit';

const stores = freshStores();
let store: Store;
let filled: Filled;
let file: Blob;

beforeEach(async () => {
  store = await stores.opened();
  filled = await fill(store);
  await store.openTest(filled.projectId);
  file = (await store.exportProject(filled.projectId, { withData: true })).file;
});

describe('round trip', () => {
  test('into another store: the same ids, the same hashes', async () => {
    const other = await stores.opened();
    const project = await other.importProject(file);
    const original = await store.getProject(filled.projectId);
    expect(project).toEqual(original);
    expect(project.testOpened).toBe(1);
    expect(await other.getDataset(filled.datasetId)).toEqual(
      await store.getDataset(filled.datasetId),
    );
    const [model] = await other.listModels(project.id);
    const source = await store.getModel(filled.modelId);
    expect(model?.file).toEqual(source.file);
    expect(numbersIn(model && (await other.getChunk(model.file)))).toEqual(
      numbersIn(await store.getChunk(source.file)),
    );
    const [run] = await other.listRuns(project.id);
    expect(run).toEqual(await store.getRun(filled.runId));
    expect(model).toEqual(source);
    expect(run?.curve[1]?.loss).toBeNaN();
    const [evaluation] = await other.listEvaluations(project.id);
    expect(await other.getPredictions(evaluation?.id ?? '')).toEqual(PREDICTIONS);
    expect(await other.verify()).toEqual([]);
  });

  test('twice into the same store: nothing is overwritten, bytes are shared', async () => {
    const first = await store.importProject(file);
    const second = await store.importProject(file);
    expect(new Set([filled.projectId, first.id, second.id]).size).toBe(3);
    expect((await store.describeDeletion(second.id)).bytes).toBe(0);
    expect(await store.listDatasets()).toHaveLength(1);
    expect(await store.verify()).toEqual([]);
  });

  test('contents say what is in the file', async () => {
    const { contents } = await store.exportProject(filled.projectId, { withData: true });
    expect(contents).toEqual([
      'the goal and all settings of the project',
      '1 run: settings and curves',
      '1 model: weights, column and category names, ranges and averages of numbers',
      '1 evaluation: figures and the prediction of every row',
      'all 8 rows of measures-1.csv',
    ]);
  });

  test('models in the trash stay at home', async () => {
    const child = { ...modelDraft(filled.projectId, null, null), parentId: filled.modelId };
    await store.putModel(child, bytesOf(60));
    await store.trashModel(filled.modelId);
    const { file: saved } = await store.exportProject(filled.projectId, { withData: true });
    const other = await stores.opened();
    const project = await other.importProject(saved);
    expect(await other.listModels(project.id)).toMatchObject([{ number: 2, parentId: null }]);
    expect(await other.listEvaluations(project.id)).toEqual([]);
    expect(await other.verify()).toEqual([]);
  });

  test('a damaged store is not exported as if it were whole', async () => {
    const damaged = await stores.opened();
    const { projectId } = await fill(damaged);
    await damaged.eraseEverything();
    await expect(damaged.exportProject(projectId, { withData: true })).rejects.toMatchObject({
      code: 'store/not-found',
    });
  });
});

describe('without rows', () => {
  test('no value of a row is in the file, and the import says so', async () => {
    const { file: saved, contents } = await store.exportProject(filled.projectId, {
      withData: false,
    });
    expect(contents.at(-1)).toBe('no rows');
    expect(contents).toContain('1 evaluation: figures');
    const entries = await unzip(saved);
    const text = new TextDecoder().decode(entries.get('records.json'));
    expect(text).toContain('Adelie');
    expect(text).not.toContain('a private remark');
    // The model's file, and nothing of the dataset.
    expect([...entries.keys()].filter((name) => name.startsWith('chunks/'))).toHaveLength(1);

    const other = await stores.opened();
    const project = await other.importProject(saved);
    const dataset = await other.getDataset(filled.datasetId);
    expect(dataset).toMatchObject({ rowsLeftOut: true, manifest: { rows: 8 } });
    const [evaluation] = await other.listEvaluations(project.id);
    await expect(other.getPredictions(evaluation?.id ?? '')).rejects.toMatchObject({
      code: 'store/rows-left-out',
    });
    expect(await other.verify()).toEqual([]);

    // Importing the source again brings the rows back to everything that names the dataset.
    await fill(other);
    expect((await other.getDataset(filled.datasetId)).rowsLeftOut).toBeUndefined();
    expect(await other.verify()).toEqual([]);
  });

  test('such a file never replaces rows that are there', async () => {
    const { file: saved } = await store.exportProject(filled.projectId, { withData: false });
    await store.importProject(saved);
    expect((await store.getDataset(filled.datasetId)).rowsLeftOut).toBeUndefined();
    expect(await store.verify()).toEqual([]);
  });
});

async function editRecords(edit: (text: string) => string): Promise<Blob> {
  const entries = await unzip(file);
  editText(entries, 'records.json', edit);
  await relist(entries);
  return rezip(entries);
}

async function withEntries(edit: (entries: Entries) => void | Promise<void>): Promise<Blob> {
  const entries = await unzip(file);
  await edit(entries);
  return rezip(entries);
}

async function firstChunk(entries: Entries): Promise<string> {
  const name = [...entries.keys()].find((key) => key.startsWith('chunks/'));
  if (name === undefined) throw new Error('The file has no chunk.');
  return name;
}

const hex = (text: string) => new TextEncoder().encode(text);

const MALFORMED: readonly [string, string, () => Promise<Blob>][] = [
  ['an empty file', 'project-file/not-a-project', async () => new Blob()],
  ['some other file', 'project-file/not-a-project', async () => new Blob([bytesOf(9, 5000)])],
  [
    'some other zip',
    'project-file/not-a-project',
    () => rezip(new Map([['readme.json', hex('{}')]])),
  ],
  [
    'a zip of something else that has a manifest',
    'project-file/not-a-project',
    () => rezip(new Map([['manifest.json', hex('{"format":1,"kind":"lesson"}')]])),
  ],
  [
    'a newer format',
    'project-file/newer',
    () =>
      withEntries((entries) => {
        editText(entries, 'manifest.json', (text) => text.replace('"format": 1', '"format": 99'));
      }),
  ],
  [
    'an unknown key in the manifest',
    'project-file/invalid',
    () =>
      withEntries((entries) => {
        editText(entries, 'manifest.json', (text) => text.replace('{', '{"extra": 1,'));
      }),
  ],
  [
    'a manifest that is not JSON',
    'project-file/damaged',
    () => withEntries((entries) => void entries.set('manifest.json', hex('{"format":'))),
  ],
  [
    'a chunk with one bit changed',
    'project-file/damaged',
    () =>
      withEntries(async (entries) => {
        const bytes = entries.get(await firstChunk(entries));
        if (bytes) bytes[0] = (bytes[0] ?? 0) ^ 1;
      }),
  ],
  [
    'a changed chunk that is listed with its new hash',
    'project-file/damaged',
    () =>
      withEntries(async (entries) => {
        const bytes = entries.get(await firstChunk(entries));
        if (bytes) bytes[0] = (bytes[0] ?? 0) ^ 1;
        await relist(entries);
      }),
  ],
  [
    'a byte changed inside the file',
    'project-file/damaged',
    async () => {
      const bytes = new Uint8Array(await file.arrayBuffer());
      const at = new TextDecoder('latin1').decode(bytes).indexOf('"Which penguin?"');
      bytes[at + 3] = 0x58;
      return new Blob([bytes]);
    },
  ],
  [
    'a missing entry',
    'project-file/damaged',
    () => withEntries(async (entries) => void entries.delete(await firstChunk(entries))),
  ],
  [
    'missing records',
    'project-file/damaged',
    () =>
      withEntries(async (entries) => {
        entries.delete('records.json');
        await relist(entries);
      }),
  ],
  [
    'an entry that is not listed',
    'project-file/refused',
    () => withEntries((entries) => void entries.set(`chunks/${'a'.repeat(64)}`, hex('x'))),
  ],
  [
    'an entry that no record names',
    'project-file/damaged',
    () =>
      withEntries(async (entries) => {
        entries.set(`chunks/${await sha256Hex(hex('x'))}`, hex('x'));
        await relist(entries);
      }),
  ],
  [
    'a name that leaves the folder',
    'project-file/refused',
    () => withEntries((entries) => void entries.set('../../evil.json', hex('{}'))),
  ],
  [
    'an absolute name',
    'project-file/refused',
    () => withEntries((entries) => void entries.set('/etc/passwd', hex('x'))),
  ],
  [
    'a name of ours in another folder',
    'project-file/refused',
    () => withEntries((entries) => void entries.set('chunks/../records.json', hex('x'))),
  ],
  [
    'a bomb: compressed entries',
    'project-file/refused',
    async () => {
      const entries = await unzip(file);
      entries.set(`chunks/${'b'.repeat(64)}`, new Uint8Array(8 * 2 ** 20));
      return rezip(entries, { level: 9 });
    },
  ],
  [
    'a compressed entry that does not shrink',
    'project-file/refused',
    async () => {
      const entries = await unzip(file);
      const noise = crypto.getRandomValues(new Uint8Array(4096));
      const name = `chunks/${await sha256Hex(noise)}`;
      entries.set(name, noise);
      await relist(entries);
      const zip = new ZipWriter(new Uint8ArrayWriter(), AS_OURS);
      for (const [entry, bytes] of entries) {
        await zip.add(entry, new Uint8ArrayReader(bytes), { level: entry === name ? 9 : 0 });
      }
      return new Blob([await zip.close()]);
    },
  ],
  [
    'a declared size that the file does not have',
    'project-file/',
    async () => {
      const bytes = new Uint8Array(await file.arrayBuffer());
      const view = new DataView(bytes.buffer);
      // Central directory header "PK\1\2": compressed size at 20, uncompressed at 24 (APPNOTE 4.3.12).
      for (let at = 0; at + 46 < bytes.length; at++) {
        if (view.getUint32(at, true) === 0x02014b50) {
          view.setUint32(at + 20, 0x7fffffff, true);
          view.setUint32(at + 24, 0x7fffffff, true);
        }
      }
      return new Blob([bytes]);
    },
  ],
  [
    'an encrypted entry',
    'project-file/refused',
    async () => rezip(await unzip(file), { password: 'secret' }),
  ],
  [
    'an unknown key in a record',
    'project-file/invalid',
    () => editRecords((text) => text.replace('"gates":', '"secret":1,"gates":')),
  ],
  [
    'a record of the wrong type',
    'project-file/invalid',
    () => editRecords((text) => text.replace('"testOpened":1', '"testOpened":"1"')),
  ],
  [
    'a dataset whose manifest was changed',
    'project-file/damaged',
    () => editRecords((text) => text.replace('"rows":8', '"rows":9')),
  ],
  [
    'a chunk reference into somebody else’s place',
    'project-file/invalid',
    () => editRecords((text) => text.replace(/"storageKey":"\w+"/, '"storageKey":"checkpoint/x"')),
  ],
  [
    'a record of another project',
    'project-file/damaged',
    () =>
      editRecords((text) =>
        text.replace(/"projectId":"[\w-]+"/, `"projectId":"${crypto.randomUUID()}"`),
      ),
  ],
  [
    'a reference to a run that is not there',
    'project-file/damaged',
    () =>
      editRecords((text) => text.replace(/"runId":"[\w-]+"/, `"runId":"${crypto.randomUUID()}"`)),
  ],
  [
    'a model that is its own parent',
    'project-file/damaged',
    () =>
      editRecords((text) =>
        text.replace('"parentId":null', `"parentId":${JSON.stringify(filled.modelId)}`),
      ),
  ],
];

test.each(MALFORMED)('%s is refused, and nothing is written', async (_, code, make) => {
  const other = await stores.opened();
  const malformed = await make();
  await expect(other.importProject(malformed)).rejects.toMatchObject({
    code: expect.stringContaining(code),
    message: expect.stringMatching(/project file/i),
  });
  expect(await other.listProjects()).toEqual([]);
  expect(await other.listDatasets()).toEqual([]);
  other.close();
});

test('a file cut off anywhere is refused', async () => {
  const other = await stores.opened();
  for (let part = 1; part < 50; part++) {
    const cut = file.slice(0, Math.floor((file.size * part) / 50));
    await expect(other.importProject(cut), `${part} of 50`).rejects.toMatchObject({
      code: expect.stringMatching(/^project-file\//),
    });
  }
  expect(await other.listProjects()).toEqual([]);
});

test('two entries of the same name are refused', async () => {
  const zip = new ZipWriter(new Uint8ArrayWriter(), { ...AS_OURS, level: 0 });
  await zip.add('manifest.json', new TextReader('{}'));
  await zip.add('manifest.jsom', new TextReader('{}'));
  const bytes = await zip.close();
  const text = new TextDecoder('latin1').decode(bytes).replaceAll('jsom', 'json');
  const forged = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  await expect(store.importProject(new Blob([forged]))).rejects.toMatchObject({
    code: expect.stringMatching(/^project-file\/(damaged|refused)$/),
  });
});
