/**
 * Archives that lie, bit by bit: whatever is changed in one, it is refused with a reason and nothing is kept. Each
 * file here is made of whole ones, so that only the lie is wrong with it.
 */
import { beforeAll, beforeEach, afterEach, describe, expect, test } from 'vitest';
import { crc32 } from '../../../../src/core/crc32';
import { sha256Hex } from '../../../../src/core/hash';
import type { Store } from '../../../../src/storage/store';
import { createStoreApi } from '../../../../src/storage/store';
import { rounds } from '../../../support/rounds';
import { bytesOf, deleteStore, fill, freshName, projectDraft, putTable } from '../fixtures';
import { SUMMARY } from '../pretrained-fixture';
import { AS_OURS, editText, relist, rezip, unzip } from '../zip-edit';
import type { Entries } from '../zip-edit';

const quiet = () => undefined;
let whole: Uint8Array<ArrayBuffer>;
let parted: Uint8Array<ArrayBuffer>;
let name: string;
let store: Store;

async function archive(partBytes?: number): Promise<Uint8Array<ArrayBuffer>> {
  const made = freshName();
  const source = createStoreApi({ name: made, ...(partBytes !== undefined && { partBytes }) });
  await source.open();
  await fill(source);
  await source.createProject(projectDraft(await putTable(source, 5)));
  await source.putPretrained({ name: 'tiny', summary: SUMMARY }, new Blob([bytesOf(7, 100)]));
  const request = { projects: 'all', withData: true, withTrash: false } as const;
  const { file } = await source.exportArchive('save', request, null, quiet);
  source.close();
  await deleteStore(made);
  return new Uint8Array(await (file ?? new Blob()).arrayBuffer());
}

beforeAll(async () => {
  whole = await archive();
  parted = await archive(40);
});

beforeEach(async () => {
  name = freshName();
  store = createStoreApi({ name });
  await store.open();
});

afterEach(async () => {
  expect(await store.listProjects()).toEqual([]);
  expect(await store.listDatasets()).toEqual([]);
  expect(await store.listPretrained()).toEqual([]);
  expect((await rowsIn(name)).chunks).toBe(0);
  store.close();
  await deleteStore(name);
});

async function rowsIn(database: string): Promise<{ chunks: number }> {
  const opened = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(`${database}-cache`);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('It does not open.'));
  });
  const counted = opened.transaction('chunks').objectStore('chunks').count();
  const chunks = await new Promise<number>((resolve) => {
    counted.onsuccess = () => resolve(counted.result);
  });
  opened.close();
  return { chunks };
}

async function refusal(bytes: BlobPart): Promise<{ code: string; message: string }> {
  try {
    await store.importArchive('open', new Blob([bytes]), null, quiet);
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('It was taken.');
}

const OURS = /^project-file\/(damaged|refused|invalid|not-a-project|newer)$/;

test('one that is cut off at every fiftieth', async () => {
  for (let part = 0; part < 50; part++) {
    const error = await refusal(whole.slice(0, Math.floor((whole.length * part) / 50)));
    expect(error.code, `${part} of 50`).toMatch(OURS);
  }
});

test('one with a byte flipped, wherever it is: headers, list, records, data', async () => {
  // Every byte around the entries, and of the rest a few in `npm test` and all in `npm run faults`.
  const places = new Set<number>();
  for (const mark of ['PK\u0003\u0004', 'PK\u0001\u0002', 'PK\u0005\u0006']) {
    const length = mark === 'PK\u0003\u0004' ? 30 : mark === 'PK\u0001\u0002' ? 46 : 22;
    const found = marks(whole, mark);
    const some = found.filter((_, index) => index === 0 || index === found.length - 1);
    for (const at of rounds(0, 1) ? found : some) {
      for (let byte = 0; byte < length; byte++) places.add(at + byte);
    }
  }
  const step = rounds(Math.ceil(whole.length / 150), 7);
  for (let at = 0; at < whole.length; at += step) places.add(at);
  for (const at of places) {
    const changed = whole.slice();
    changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
    const error = await refusal(changed).catch(() => ({ code: `taken with byte ${at}` }));
    expect(error.code, `byte ${at}`).toMatch(OURS);
  }
  expect(places.size).toBeGreaterThan(300);
}, 600_000);

/** Where a signature stands. */
function marks(bytes: Uint8Array, mark: string): readonly number[] {
  const text = new TextDecoder('latin1').decode(bytes);
  const found: number[] = [];
  for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + 1)) found.push(at);
  return found;
}

async function changed(edit: (entries: Entries) => void | Promise<void>, from = whole) {
  const entries = await unzip(new Blob([from]));
  await edit(entries);
  return rezip(entries);
}

/** As somebody would who also writes the list anew. */
const relisted = (edit: (entries: Entries) => void | Promise<void>, from = whole) =>
  changed(async (entries) => {
    await edit(entries);
    await relist(entries);
  }, from);

const find = (entries: Entries, folder: string) => {
  const found = [...entries.keys()].find((key) => key.startsWith(`${folder}/`));
  if (found === undefined) throw new Error(`It has no ${folder}.`);
  return found;
};

const LIES: readonly [string, string, () => Promise<BlobPart>][] = [
  [
    'a newer format',
    'newer',
    () =>
      changed((all) =>
        editText(all, 'manifest.json', (text) => text.replace('"format": 2', '"format": 3')),
      ),
  ],
  [
    'another kind of ours',
    'invalid',
    () =>
      changed((all) =>
        editText(all, 'manifest.json', (text) =>
          text.replace('terrarium-archive', 'terrarium-lesson'),
        ),
      ),
  ],
  [
    'another kind',
    'not-a-project',
    () =>
      changed((all) =>
        editText(all, 'manifest.json', (text) => text.replace('terrarium-archive', 'lesson')),
      ),
  ],
  [
    'an archive that says that it is of the first format',
    'invalid',
    () =>
      changed((all) =>
        editText(all, 'manifest.json', (text) => text.replace('"format": 2', '"format": 1')),
      ),
  ],
  [
    'a chunk with another content and its name listed with the new hash',
    'damaged',
    () => relisted((all) => void all.set(find(all, 'chunks'), new Uint8Array(64))),
  ],
  ['a missing chunk', 'damaged', () => changed((all) => void all.delete(find(all, 'chunks')))],
  [
    'a missing chunk that is not listed either',
    'damaged',
    () => relisted((all) => void all.delete(find(all, 'chunks'))),
  ],
  ['a missing project', 'damaged', () => relisted((all) => void all.delete(find(all, 'projects')))],
  ['a missing dataset', 'damaged', () => relisted((all) => void all.delete(find(all, 'datasets')))],
  [
    'a surplus chunk',
    'damaged',
    () =>
      relisted(
        async (all) =>
          void all.set(`chunks/${await sha256Hex(new Uint8Array(9))}`, new Uint8Array(9)),
      ),
  ],
  [
    'a surplus project',
    'damaged',
    () =>
      relisted(
        (all) =>
          void all.set(`projects/${crypto.randomUUID()}.json`, new TextEncoder().encode('{}')),
      ),
  ],
  [
    'a surplus entry that is not listed',
    'refused',
    () => changed((all) => void all.set('notes.json', new Uint8Array(9))),
  ],
  [
    'a chunk that is there and said to be left out',
    'refused',
    () =>
      changed((all) => {
        const sha256 = find(all, 'chunks').slice('chunks/'.length);
        const leftOut = JSON.stringify([{ what: 'rows', why: 'none', sha256 }]);
        editText(all, 'manifest.json', (text) =>
          text.replace('"leftOut": []', `"leftOut": ${leftOut}`),
        );
      }),
  ],
  [
    'a project under another id',
    'damaged',
    () =>
      relisted((all) =>
        editText(all, find(all, 'projects'), (text) =>
          text
            .replace(/"project":\{"([^}]*)"id":"[\w-]+"/, (match) => match)
            .replace(/"id":"[\w-]{36}"/, `"id":"${crypto.randomUUID()}"`),
        ),
      ),
  ],
  [
    'a record of another project',
    'damaged',
    () =>
      relisted((all) => {
        const own =
          [...all].find(
            ([key, bytes]) =>
              key.startsWith('projects/') &&
              new TextDecoder().decode(bytes).includes('"projectId"'),
          )?.[0] ?? '';
        editText(all, own, (text) =>
          text.replace(/"projectId":"[\w-]+"/, `"projectId":"${crypto.randomUUID()}"`),
        );
      }),
  ],
  [
    'a project twice',
    'damaged',
    () =>
      relisted((all) =>
        editText(all, 'index.json', (text) => text.replace(/\[(\{[^}]*\})/, '[$1,$1')),
      ),
  ],
  [
    'a dataset whose description was changed',
    'damaged',
    () =>
      relisted((all) =>
        editText(all, find(all, 'datasets'), (text) => text.replace('"rows":8', '"rows":9')),
      ),
  ],
  [
    'a dataset that no project has',
    'damaged',
    () =>
      relisted((all) => {
        const own =
          [...all].find(([, bytes]) =>
            new TextDecoder().decode(bytes).includes('"runs":[]'),
          )?.[0] ?? '';
        editText(all, own, (text) =>
          text
            .replace(/"datasets":\["[0-9a-f]{64}"\]/, '"datasets":[]')
            .replace(/"datasetId":"[0-9a-f]{64}"/g, '"datasetId":null'),
        );
      }),
  ],
  [
    'a huge count in a record',
    'invalid',
    () =>
      relisted((all) =>
        editText(all, find(all, 'datasets'), (text) => text.replace('"rows":8', '"rows":1e300')),
      ),
  ],
  [
    'a length that no chunk has',
    'damaged',
    () =>
      relisted((all) =>
        editText(all, find(all, 'bodies'), (text) =>
          text.replace(/"bytes":100/g, '"bytes":9007199254740991'),
        ),
      ),
  ],
  [
    'an unknown key in the index',
    'invalid',
    () => relisted((all) => editText(all, 'index.json', (text) => text.replace('{', '{"more":1,'))),
  ],
  [
    'parts of a whole in another order',
    'damaged',
    () =>
      relisted((all) => {
        editText(all, find(all, 'bodies'), (text) => {
          const body = JSON.parse(text) as { chunks: { parts: unknown[] }[] };
          body.chunks[0]?.parts.reverse();
          return JSON.stringify(body);
        });
      }, parted),
  ],
  [
    'a name that leaves the folder',
    'refused',
    () => changed((all) => void all.set('../../evil.json', new Uint8Array(2))),
  ],
  [
    'a name with a drive',
    'refused',
    () => changed((all) => void all.set('C:/evil.json', new Uint8Array(2))),
  ],
  [
    'a name with a backslash',
    'refused',
    () => changed((all) => void all.set('chunks\\..\\evil.json', new Uint8Array(2))),
  ],
  ['a folder', 'refused', () => changed((all) => void all.set('chunks/', new Uint8Array(0)))],
  [
    'a compressed bomb',
    'refused',
    async () =>
      rezip(
        new Map([
          ...(await unzip(new Blob([whole]))),
          [`chunks/${'b'.repeat(64)}`, new Uint8Array(8 * 2 ** 20)],
        ]),
        { level: 9 },
      ),
  ],
  [
    'an encrypted entry',
    'refused',
    async () => rezip(await unzip(new Blob([whole])), { password: 'secret' }),
  ],
  [
    'something behind its end',
    'damaged',
    () => Promise.resolve(joined(whole, new Uint8Array(100))),
  ],
  [
    'something before its beginning',
    'not-a-project',
    () => Promise.resolve(joined(new Uint8Array(100), whole)),
  ],
  ['a second archive behind it', 'damaged', () => Promise.resolve(joined(whole, whole))],
  [
    'another program’s headers',
    'refused',
    async () => rezip(await unzip(new Blob([whole])), { ...AS_OURS, extendedTimestamp: true }),
  ],
];

function joined(...pieces: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

test.each(LIES)('%s', async (_, code, make) => {
  const error = await refusal(await make());
  expect(error).toMatchObject({
    code: `project-file/${code}`,
    message: expect.stringMatching(/project file/i) as string,
  });
});

describe('a list that lies about where entries are', () => {
  const centrals = (bytes: Uint8Array) => marks(bytes, 'PK\u0001\u0002');

  test('two entries over the same bytes', async () => {
    const bytes = whole.slice();
    const [, second = 0, third = 0] = centrals(bytes);
    const view = new DataView(bytes.buffer);
    view.setUint32(third + 42, view.getUint32(second + 42, true), true);
    expect(await refusal(bytes)).toMatchObject({ code: 'project-file/refused' });
  });

  test('two entries of one name', async () => {
    const entries = await unzip(new Blob([whole]));
    const first = find(entries, 'chunks');
    const other = [...entries.keys()].filter((key) => key.startsWith('chunks/'))[1] ?? '';
    const bytes = new Uint8Array(await (await rezip(entries)).arrayBuffer());
    const text = new TextDecoder('latin1').decode(bytes).replaceAll(other, first);
    const forged = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    expect((await refusal(forged)).code).toMatch(/damaged|refused/);
  });

  test.each([
    ['entries', 8, 0xfffe, 2],
    ['bytes of its list', 12, 0x7fffffff, 4],
    ['bytes before its list', 16, 0x7fffffff, 4],
  ])('a huge number of %s', async (_, field, value, bytes) => {
    const lying = whole.slice();
    const view = new DataView(lying.buffer);
    const end = lying.length - 22;
    if (bytes === 2) {
      view.setUint16(end + field, value, true);
      view.setUint16(end + field + 2, value, true);
    } else view.setUint32(end + field, value, true);
    expect(await refusal(lying)).toMatchObject({ code: 'project-file/damaged' });
  });

  test('a huge entry', async () => {
    const lying = whole.slice();
    const view = new DataView(lying.buffer);
    for (const at of centrals(lying)) {
      view.setUint32(at + 20, 0x7fffffff, true);
      view.setUint32(at + 24, 0x7fffffff, true);
    }
    expect((await refusal(lying)).code).toMatch(/damaged|refused/);
  });

  test('a changed entry with its checksum made right', async () => {
    const lying = whole.slice();
    const view = new DataView(lying.buffer);
    const last = centrals(lying).at(-1) ?? 0;
    const local = view.getUint32(last + 42, true);
    const from = local + 30 + view.getUint16(local + 26, true);
    lying[from] = (lying[from] ?? 0) ^ 1;
    const crc = crc32(lying.subarray(from, from + view.getUint32(last + 24, true)));
    view.setUint32(last + 16, crc, true);
    view.setUint32(local + 14, crc, true);
    expect(await refusal(lying)).toMatchObject({
      code: 'project-file/damaged',
      message: expect.stringContaining('does not match its hash') as string,
    });
  });
});

test('what was refused is taken where nothing is wrong with it', async () => {
  const other = createStoreApi({ name: `${name}-whole` });
  await other.open();
  for (const bytes of [whole, parted]) {
    const rewritten = await rezip(await unzip(new Blob([bytes])));
    expect((await other.importArchive('open', rewritten, null, quiet)).projects).toHaveLength(2);
  }
  expect(await other.verify()).toEqual([]);
  other.close();
  await deleteStore(`${name}-whole`);
});
