/** What only some projects have, through a `.terrarium` file: bodies of one's own, adapters, groups, long vocabularies. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { DatasetManifest } from '../../../src/protocol/entities';
import type { Store } from '../../../src/storage/store';
import {
  bytesOf,
  fill,
  freshStores,
  modelDraft,
  numbersIn,
  projectDraft,
  tableManifest,
} from './fixtures';
import type { Filled } from './fixtures';
import { SUMMARY } from './pretrained-fixture';
import { editText, relist, rezip, unzip } from './zip-edit';

const stores = freshStores();
const PIXELS = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
let store: Store;
let filled: Filled;

beforeEach(async () => {
  store = await stores.opened();
  filled = await fill(store);
});

/** A run of `fill` that started from a body of the person's own, with its LoRA adapter beside the model. */
async function fineTuned(): Promise<{ readonly projectId: string; readonly body: string }> {
  const kept = await store.putPretrained(
    {
      name: 'tiny',
      summary: { ...SUMMARY, picture: { channels: 3, sizes: [16], pixels: PIXELS } },
    },
    new Blob([bytesOf(7, 500)]),
  );
  const source = { kind: 'own', sha256: kept.id } as const;
  const { projectId } = filled;
  const { revision } = await store.getProject(projectId);
  const blueprint = {
    kind: 'pretrained',
    source,
    cut: null,
    head: { hidden: 0, dropout: 0 },
    strategy: { kind: 'lora', rank: 2, alpha: 4, dropout: 0, targets: '*' },
    batchNorm: 'frozen',
    picture: null,
  } as const;
  await store.editProject(projectId, revision, { blueprint });
  const base = { source, name: 'tiny', sha256: kept.id };
  await store.putModel({ ...modelDraft(projectId, null, null), base }, bytesOf(61), bytesOf(62));
  return { projectId, body: kept.id };
}

describe('a body of the person’s own', () => {
  test.each([true, false])('goes along, and so does the adapter (rows: %s)', async (withData) => {
    const { projectId, body } = await fineTuned();
    const { file, contents } = await store.exportProject(projectId, { withData });
    expect(contents).toContain('the pretrained model tiny (0.0 MB)');
    const other = await stores.opened();
    const project = await other.importProject(file);
    expect(await other.getPretrained(body)).toEqual(await store.getPretrained(body));
    expect(numbersIn(await other.getPretrainedFile(body))).toEqual(numbersIn(bytesOf(7, 500)));
    const taught = (await other.listModels(project.id)).find(({ adapter }) => adapter);
    expect(taught?.base?.sha256).toBe(body);
    expect(numbersIn(taught?.adapter && (await other.getChunk(taught.adapter)))).toEqual(
      numbersIn(bytesOf(62)),
    );
    await other.importProject(file);
    expect(await other.listPretrained()).toHaveLength(1);
    await other.collectGarbage();
    expect(await other.verify()).toEqual([]);
  });

  test('that was given up stays out, and the file says so', async () => {
    const { projectId, body } = await fineTuned();
    await store.erasePretrained(body);
    const { file, contents } = await store.exportProject(projectId, { withData: true });
    expect(contents).toContain('not the pretrained model tiny: this browser has it no more');
    const other = await stores.opened();
    const project = await other.importProject(file);
    expect(project.blueprint).toMatchObject({ source: { sha256: body } });
    expect(await other.listPretrained()).toEqual([]);
  });

  test('that is not what its hash says is refused', async () => {
    const { projectId, body } = await fineTuned();
    const other = await stores.opened();
    const entries = await unzip((await store.exportProject(projectId, { withData: true })).file);
    editText(entries, 'records.json', (text) =>
      text.replaceAll(`"id":"${body}"`, `"id":"${'0'.repeat(64)}"`),
    );
    await relist(entries);
    await expect(other.importProject(await rezip(entries))).rejects.toMatchObject({
      code: 'project-file/damaged',
      message: expect.stringContaining('tiny') as string,
    });
    expect(await other.listPretrained()).toEqual([]);
  });
});

describe('what only some datasets have', () => {
  test.each([true, false])(
    'comes through: long vocabularies, groups (rows: %s)',
    async (withData) => {
      const words = await store.putChunk(bytesOf(90));
      const plain = tableManifest(words, 'words.csv');
      const columns = plain.columns.map((column) => ({ ...column, vocabularyChunks: [words] }));
      const pictures: DatasetManifest = {
        ...{
          format: 1,
          type: 'images',
          name: 'shapes',
          rows: 64,
          channels: 1,
          height: 1,
          width: 1,
        },
        classes: ['a'],
        pixels: [words],
        labels: [words],
        source: { kind: 'folder', name: 'shapes' },
        groups: { names: ['here', 'there'], chunks: [words] },
      };
      for (const manifest of [{ ...plain, columns }, pictures]) {
        const { id } = await store.putDataset(manifest);
        const project = await store.createProject(projectDraft(id));
        const { file } = await store.exportProject(project.id, { withData });
        const other = await stores.opened();
        const { datasetId } = await other.importProject(file);
        expect(datasetId).toBe(id);
        expect(await other.verify()).toEqual([]);
      }
    },
  );
});
