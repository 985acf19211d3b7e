/** A locked project in a real IndexedDB: what lies on the disk, what is refused, and what every crash leaves. */
import { describe, expect, test } from 'vitest';
import type { Id } from '../../../src/protocol/entities';
import type { VaultRow } from '../../../src/protocol/vault';
import type { ChunkRow, SealedRow } from '../../../src/storage/schema';
import type { Store } from '../../../src/storage/store';
import {
  PREDICTIONS,
  bytesOf,
  checkpointDraft,
  evaluationDraft,
  fill,
  finished,
  freshStores,
  modelDraft,
  numbersIn,
  projectDraft,
  rawDatabase,
  runDraft,
  tableManifest,
} from './fixtures';

const PASSPHRASE = 'four words of it';
/** Stands in every text of the records. */
const CANARY = 'canary-7f3a';

const stores = freshStores();

interface Locked {
  readonly projectId: Id;
  readonly recoveryKey: string;
  readonly datasetId: Id;
  readonly runId: Id;
  readonly modelId: Id;
  readonly evaluationId: Id;
}

/** One of everything, imported into a lock from the start. */
async function locked(store: Store, word = CANARY): Promise<Locked> {
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

async function rows<T>(name: string, table: string): Promise<T[]> {
  const database = await rawDatabase(name);
  try {
    return await finished<T[]>(database.transaction(table).objectStore(table).getAll());
  } finally {
    database.close();
  }
}

async function change(name: string, table: string, row: object): Promise<void> {
  const database = await rawDatabase(name);
  try {
    await finished(database.transaction(table, 'readwrite').objectStore(table).put(row));
  } finally {
    database.close();
  }
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
async function wholeDisk(name: string): Promise<string> {
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

function flipped(bytes: ArrayBuffer, at: number): ArrayBuffer {
  const copy = new Uint8Array(bytes.slice());
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy.buffer;
}

async function expectWhole(store: Store, made: Locked): Promise<void> {
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

describe('a project locked from the start', () => {
  test('leaves no word of it on the disk, and the same project unlocked does', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const made = await locked(store);
    await expectWhole(store, made);
    const disk = await wholeDisk(name);
    for (const word of [CANARY, made.datasetId, made.runId, made.modelId, 'species', 'remark']) {
      expect(disk, word).not.toContain(word);
    }
    expect(await store.verify()).toEqual([]);
    await store.updateRun(made.runId, { status: 'stopped' });
    await store.removeLock(made.projectId, PASSPHRASE);
    expect(await wholeDisk(name)).toContain(CANARY);
  });

  test('opens again after a reload, with passphrase or recovery key, and is closed until then', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const made = await locked(store);
    await store.updateRun(made.runId, { status: 'interrupted' });
    store.close();
    for (const secret of [{ passphrase: PASSPHRASE }, { recoveryKey: made.recoveryKey }]) {
      const later = await stores.opened({ name });
      await expect(later.getProject(made.projectId)).rejects.toMatchObject({
        code: 'vault/closed',
      });
      expect(await later.listProjects()).toEqual([]);
      expect(await later.listVaults()).toMatchObject([{ label: 'Locked project', open: false }]);
      expect(await later.verify()).toEqual([]);
      expect(await later.collectGarbage()).toBe(0);
      const { project, interrupted } = await later.unlockVault(made.projectId, secret);
      expect(project?.name).toBe(`Project ${CANARY}`);
      expect(interrupted.map(({ id }) => id)).toEqual([made.runId]);
      await expectWhole(later, made);
      expect(await later.verify()).toEqual([]);
      expect((await later.listProjects()).map(({ id }) => id)).toEqual([made.projectId]);
      await later.closeVault(made.projectId);
      await expect(later.getProject(made.projectId)).rejects.toMatchObject({
        code: 'vault/closed',
      });
      await expect(later.getRun(made.runId)).rejects.toMatchObject({ code: 'store/not-found' });
      later.close();
    }
  });

  test('offers a run that was going on when the browser ended', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const made = await locked(store);
    store.close();
    const later = await stores.opened({ name });
    const { interrupted } = await later.unlockVault(made.projectId, { passphrase: PASSPHRASE });
    expect(interrupted.map(({ id }) => id)).toEqual([made.runId]);
    expect((await later.getCheckpoint(made.runId))?.checkpoint.step).toBe(1);
  });

  test('refuses another passphrase and another recovery key, and stays shut', async () => {
    const store = await stores.opened();
    const made = await locked(store);
    const other = await store.createVault('Other', 'another');
    await store.closeVault(made.projectId);
    const wrong = [
      [{ passphrase: 'four words of It' }, 'vault/wrong-passphrase'],
      [{ recoveryKey: other.recoveryKey }, 'vault/wrong-recovery-key'],
      [{ recoveryKey: 'ABCD' }, 'vault/mistyped-recovery-key'],
    ] as const;
    for (const [secret, code] of wrong) {
      await expect(store.unlockVault(made.projectId, secret)).rejects.toMatchObject({ code });
    }
    await expect(store.getProject(made.projectId)).rejects.toMatchObject({ code: 'vault/closed' });
  });
});

describe('somebody changed what lies on the disk', () => {
  test('one bit of any record, or a record in the place of another: refused', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const made = await locked(store);
    const other = await locked(store, 'another-word');
    await store.closeVault(made.projectId);
    const sealed = await rows<SealedRow>(`${name}-core`, 'sealed');
    const own = sealed.filter(({ projectId }) => projectId === made.projectId);
    const foreign = sealed.filter(({ projectId }) => projectId === other.projectId);
    expect(own.length).toBeGreaterThan(5);
    const refused = async (row: SealedRow, was: SealedRow) => {
      await change(`${name}-core`, 'sealed', row);
      await expect(
        store.unlockVault(made.projectId, { passphrase: PASSPHRASE }),
      ).rejects.toMatchObject({ code: 'vault/tampered' });
      await change(`${name}-core`, 'sealed', was);
    };
    const [first, second] = own;
    if (!first || !second || !foreign[0]) throw new Error('no rows');
    for (const at of [0, 12, first.bytes.byteLength - 1]) {
      await refused({ ...first, bytes: flipped(first.bytes, at) }, first);
    }
    await refused({ ...first, bytes: second.bytes }, first);
    await refused({ ...first, bytes: foreign[0].bytes }, first);
    await store.unlockVault(made.projectId, { passphrase: PASSPHRASE });
    await expectWhole(store, made);
  });

  test('one bit of a chunk, or a chunk from another place or project: refused, and found by verifying', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const made = await locked(store);
    const other = await locked(store, CANARY);
    const chunks = await rows<ChunkRow>(`${name}-cache`, 'chunks');
    const own = chunks.filter(({ storageKey }) => storageKey.includes(made.projectId));
    const foreign = chunks.filter(({ storageKey }) => storageKey.includes(other.projectId));
    expect(own).toHaveLength(5);
    const refused = async (row: ChunkRow, was: ChunkRow) => {
      await change(`${name}-cache`, 'chunks', row);
      const problems = await store.verify();
      expect(problems.join('\n')).toContain('is not what was sealed there');
      await change(`${name}-cache`, 'chunks', was);
      expect(await store.verify()).toEqual([]);
    };
    for (const [index, row] of own.entries()) {
      await refused({ ...row, bytes: flipped(row.bytes, row.bytes.byteLength >> 1) }, row);
      const next = own[(index + 1) % own.length];
      const stranger = foreign[index];
      if (next) await refused({ ...row, bytes: next.bytes }, row);
      if (stranger) await refused({ ...row, bytes: stranger.bytes }, row);
    }
    const model = await store.getModel(made.modelId);
    const file = own.find(({ bytes }) => bytes.byteLength === model.file.bytes + 28);
    if (!file) throw new Error('no file');
    await change(`${name}-cache`, 'chunks', { ...file, bytes: flipped(file.bytes, 20) });
    await expect(store.getChunk(model.file)).rejects.toMatchObject({ code: 'vault/tampered' });
  });

  test('weaker parameters, a newer form, the lock of another project: refused', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const made = await locked(store);
    const other = await store.createVault('Other', PASSPHRASE);
    await store.closeVault(made.projectId);
    const all = await rows<VaultRow>(`${name}-core`, 'vaults');
    const row = all.find(({ projectId }) => projectId === made.projectId);
    const foreign = all.find(({ projectId }) => projectId === other.projectId);
    if (!row || !foreign) throw new Error('no lock');
    const lies: [object, string][] = [
      [{ ...row, passphrase: { ...row.passphrase, memory: 1024 } }, 'vault/weak-parameters'],
      [{ ...row, passphrase: { ...row.passphrase, passes: 1 } }, 'vault/weak-parameters'],
      [{ ...row, format: 2 }, 'vault/newer'],
      [{ ...foreign, projectId: row.projectId }, 'vault/wrong-passphrase'],
    ];
    for (const [lie, code] of lies) {
      await change(`${name}-core`, 'vaults', lie);
      await expect(
        store.unlockVault(made.projectId, { passphrase: PASSPHRASE }),
      ).rejects.toMatchObject({ code });
    }
    await change(`${name}-core`, 'vaults', row);
    await store.unlockVault(made.projectId, { passphrase: PASSPHRASE });
    await expectWhole(store, made);
  });
});

describe('the lock itself', () => {
  test('takes another passphrase or recovery key without touching one sealed byte', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const made = await locked(store);
    const secrets = { passphrase: PASSPHRASE };
    const before = [
      await rows<SealedRow>(`${name}-core`, 'sealed'),
      await rows<ChunkRow>(`${name}-cache`, 'chunks'),
    ].flatMap((list) => list.map(({ bytes }) => numbersIn(bytes)));
    await store.changePassphrase(made.projectId, secrets, 'another one');
    const { recoveryKey } = await store.renewRecoveryKey(made.projectId, 'another one');
    const after = [
      await rows<SealedRow>(`${name}-core`, 'sealed'),
      await rows<ChunkRow>(`${name}-cache`, 'chunks'),
    ].flatMap((list) => list.map(({ bytes }) => numbersIn(bytes)));
    expect(after).toEqual(before);
    await store.closeVault(made.projectId);
    await expect(store.unlockVault(made.projectId, secrets)).rejects.toMatchObject({
      code: 'vault/wrong-passphrase',
    });
    await expect(
      store.unlockVault(made.projectId, { recoveryKey: made.recoveryKey }),
    ).rejects.toMatchObject({ code: 'vault/wrong-recovery-key' });
    await store.unlockVault(made.projectId, { recoveryKey });
    await expectWhole(store, made);
    // Forgotten: the recovery key sets a new one.
    await store.changePassphrase(made.projectId, { recoveryKey }, 'a third');
    await store.closeVault(made.projectId);
    await store.unlockVault(made.projectId, { passphrase: 'a third' });
  });

  test('of a project that was open moves every record and chunk under it and back again', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const neighbour = await fill(store, 2);
    const open = await fill(store, 1);
    const before = await wholeDisk(name);
    expect(before).toContain('measures-1.csv');
    const { stillOpen } = await store.lockProject(open.projectId, 'Locked project', PASSPHRASE);
    expect(stillOpen).toEqual([]);
    expect(await store.verify()).toEqual([]);
    const disk = await wholeDisk(name);
    for (const word of ['measures-1.csv', open.datasetId, open.runId, open.modelId]) {
      expect(disk, word).not.toContain(word);
    }
    expect(disk).toContain('measures-2.csv');
    await store.closeVault(open.projectId);
    await store.unlockVault(open.projectId, { passphrase: PASSPHRASE });
    expect(await store.getPredictions(open.evaluationId)).toEqual(PREDICTIONS);
    await expect(store.removeLock(open.projectId, 'wrong')).rejects.toMatchObject({
      code: 'vault/wrong-passphrase',
    });
    await store.removeLock(open.projectId, PASSPHRASE);
    expect(await store.verify()).toEqual([]);
    expect(await store.listVaults()).toEqual([]);
    expect(await store.getPredictions(open.evaluationId)).toEqual(PREDICTIONS);
    expect(await store.getPredictions(neighbour.evaluationId)).toEqual(PREDICTIONS);
    expect(await rows(`${name}-core`, 'sealed')).toEqual([]);
    expect(await wholeDisk(name)).not.toContain('vault/');
  });

  test('says which data another project still keeps in the open', async () => {
    const store = await stores.opened();
    const open = await fill(store, 1);
    await store.duplicateProject(open.projectId);
    const { stillOpen } = await store.lockProject(open.projectId, 'Locked project', PASSPHRASE);
    expect(stillOpen).toEqual(['measures-1.csv']);
    expect(await store.verify()).toEqual([]);
  });

  test('is not put on a project that trains', async () => {
    const store = await stores.opened();
    const open = await fill(store, 1);
    await store.createRun(runDraft(open.projectId, open.datasetId));
    await expect(
      store.lockProject(open.projectId, 'Locked project', PASSPHRASE),
    ).rejects.toMatchObject({ code: 'vault/run-under-way' });
    expect(await store.listVaults()).toEqual([]);
  });

  test('can be thrown away closed, with all that it held', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const made = await locked(store);
    await store.closeVault(made.projectId);
    expect((await store.eraseProject(made.projectId)).bytes).toBeGreaterThan(500);
    expect(await store.listVaults()).toEqual([]);
    expect(await wholeDisk(name)).not.toContain(made.projectId);
    expect(await store.verify()).toEqual([]);
  });
});

describe('two tabs', () => {
  test('with the same lock open see what the other one wrote', async () => {
    const name = stores.name();
    const a = await stores.opened({ name });
    const made = await locked(a);
    await a.updateRun(made.runId, { status: 'interrupted' });
    const b = await stores.opened({ name });
    await b.unlockVault(made.projectId, { passphrase: PASSPHRASE });
    await a.claimProject(made.projectId);
    await a.renameModel(made.modelId, 'from the first tab');
    await expect(b.renameModel(made.modelId, 'x')).rejects.toMatchObject({
      code: 'store/elsewhere',
    });
    await b.claimProject(made.projectId, { takeOver: true });
    expect((await b.getModel(made.modelId)).name).toBe('from the first tab');
    await b.renameModel(made.modelId, 'from the second tab');
    await expect(a.renameModel(made.modelId, 'x')).rejects.toMatchObject({ code: 'store/moved' });
    await expect
      .poll(async () => (await a.getModel(made.modelId)).name)
      .toBe('from the second tab');
  });
});
