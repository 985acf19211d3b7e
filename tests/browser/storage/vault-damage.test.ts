/** Pieces of a locked project that are damaged, changed or put in from elsewhere: they are named, and all else works. */
import { expect, test } from 'vitest';
import type { VaultRow } from '../../../src/protocol/vault';
import type { ChunkRow, SealedRow } from '../../../src/storage/schema';
import type { Store } from '../../../src/storage/store';
import { DAY, PREDICTIONS, freshStores, numbersIn } from './fixtures';
import {
  CANARY,
  PASSPHRASE,
  change,
  expectWhole,
  flipped,
  locked,
  remove,
  rows,
} from './vault-fixture';
import type { Locked } from './vault-fixture';

const stores = freshStores();
const secret = { passphrase: PASSPHRASE };
const quiet = () => undefined;
const TAMPERED = { code: 'vault/tampered' };

/** How each thing that the project holds answers: by its kind, whether it was refused as damaged. */
async function refused(store: Store, made: Locked): Promise<readonly string[]> {
  const asked = {
    dataset: () => store.getDataset(made.datasetId),
    run: () => store.getRun(made.runId),
    model: () => store.getModel(made.modelId),
    evaluation: () => store.getPredictions(made.evaluationId),
  };
  const damaged: string[] = [];
  for (const [kind, ask] of Object.entries(asked)) {
    try {
      await ask();
    } catch (error) {
      expect(error, kind).toMatchObject(TAMPERED);
      damaged.push(kind);
    }
  }
  return damaged;
}

test('each record in turn: the project opens, the record is named and refused, nothing of the rest is given up', async () => {
  const name = stores.name();
  let now = 1_000_000;
  const store = await stores.opened({ name, now: () => now });
  const made = await locked(store);
  const other = await locked(store, 'another-word');
  // No chunk is spared any more because it is new.
  now += DAY;
  await store.updateRun(made.runId, { status: 'interrupted' });
  await store.closeVault(made.projectId);
  const sealed = await rows<SealedRow>(`${name}-core`, 'sealed');
  const own = sealed.filter(({ projectId }) => projectId === made.projectId);
  const foreign = sealed.find(({ projectId }) => projectId === other.projectId);
  if (!foreign) throw new Error('no rows');
  expect(own).toHaveLength(7);
  const chunks = (await rows<ChunkRow>(`${name}-cache`, 'chunks')).length;
  const said: string[] = [];
  const refusals: string[] = [];
  for (const [index, row] of own.entries()) {
    const neighbour = own[(index + 1) % own.length] ?? row;
    const lies = [
      flipped(row.bytes, 0),
      flipped(row.bytes, row.bytes.byteLength - 1),
      neighbour.bytes,
      foreign.bytes,
      row.bytes.slice(0, 5),
    ];
    // Every way of damage meets every kind of record over the records; each costs an Argon2.
    for (const bytes of [lies[index % lies.length], lies[(index + 2) % lies.length]]) {
      await change(`${name}-core`, 'sealed', { ...row, bytes });
      const { project, damaged } = await store.unlockVault(made.projectId, secret);
      expect(project?.id).toBe(made.projectId);
      expect(damaged).toHaveLength(1);
      expect(damaged[0]).toContain(row.key.slice(0, 12));
      expect((await store.listVaults()).map((vault) => vault.damaged)).toContainEqual(damaged);
      expect((await store.verify()).join('\n')).toContain(`The record of ${damaged[0]} is not`);
      said.push(String(damaged[0]).replace(/ \(\w+\)$/, ''));
      refusals.push(...(await refused(store, made)));
      expect((await store.getDataset(other.datasetId)).id).toBe(other.datasetId);
      expect(await store.collectGarbage()).toBe(0);
      await store.closeVault(made.projectId);
      await change(`${name}-core`, 'sealed', row);
    }
  }
  expect(new Set(said)).toEqual(
    new Set([
      'the project itself: its name, goal and settings',
      'which data the project keeps',
      'the data set of the project',
      `the run that made model 1 “Linear”`,
      `the checkpoint of run 1 “Run ${CANARY}”`,
      'a model that was judged',
      'something that nothing else names',
    ]),
  );
  expect(refusals.toSorted()).toEqual(
    ['dataset', 'evaluation', 'model', 'run'].flatMap((kind) => [kind, kind]),
  );
  // The ciphertexts are back in their places: nothing was lost meanwhile.
  await store.unlockVault(made.projectId, secret);
  await expectWhole(store, made);
  expect(await store.verify()).toEqual([]);
  expect(await rows(`${name}-cache`, 'chunks')).toHaveLength(chunks);
}, 120_000);

test('a chunk that is changed, cut off or gone: named with its hash, all else is read, a file holds what reads', async () => {
  const name = stores.name();
  const store = await stores.opened({ name });
  const made = await locked(store);
  const model = await store.getModel(made.modelId);
  await store.updateRun(made.runId, { status: 'stopped' });
  const stored = await rows<ChunkRow>(`${name}-cache`, 'chunks');
  const row = stored.find(({ bytes }) => bytes.byteLength === model.file.bytes + 28);
  if (!row) throw new Error('no file');
  const piece = `the data chunk ${model.file.sha256.slice(0, 12)}`;
  const damage = {
    'is not what was sealed there': () =>
      change(`${name}-cache`, 'chunks', { ...row, bytes: flipped(row.bytes, 20) }),
    'is not what was sealed there:': () =>
      change(`${name}-cache`, 'chunks', { ...row, bytes: row.bytes.slice(0, 30) }),
    'is missing': async () => {
      await remove(`${name}-cache`, 'chunks', row.storageKey);
      await remove(`${name}-cache`, 'chunkInfo', row.storageKey);
    },
  };
  for (const [how, harm] of Object.entries(damage)) {
    await harm();
    await store.closeVault(made.projectId);
    const { damaged } = await store.unlockVault(made.projectId, secret);
    expect(damaged).toEqual([]);
    const why: unknown = await store.getChunk(model.file).catch((error: unknown) => error);
    expect(why).toMatchObject(TAMPERED);
    expect(String(why)).toContain(`${piece} (0.0 MB) ${how}`);
    expect((await store.verify()).join('\n')).toMatch(new RegExp(`Model “Linear”: .*${piece}`));
    expect(await store.getPredictions(made.evaluationId)).toEqual(PREDICTIONS);
    // Out of its lock it would be gone for good.
    await expect(store.removeLock(made.projectId, PASSPHRASE)).rejects.toMatchObject(TAMPERED);
    const request = { projects: [made.projectId], withData: true, withTrash: true };
    const { file, leftOut } = await store.exportArchive(how, request, null, quiet);
    expect(leftOut.join('\n')).toContain('the file of model 1 “Linear”');
    const elsewhere = await stores.opened();
    const { projects } = await elsewhere.importArchive(how, file ?? new Blob(), null, quiet);
    expect(projects).toMatchObject([{ name: `Project ${CANARY}` }]);
    expect(await elsewhere.listModels(made.projectId)).toEqual([]);
    expect(await elsewhere.verify()).toEqual([]);
  }
}, 60_000);

test('a file of a project with a damaged record names it and holds the rest; the lock cannot be taken off meanwhile', async () => {
  const name = stores.name();
  const store = await stores.opened({ name });
  const made = await locked(store);
  await store.updateRun(made.runId, { status: 'stopped' });
  await store.closeVault(made.projectId);
  const word = await damagedRecord(name, store, made, 'the run that made');
  await expect(store.removeLock(made.projectId, PASSPHRASE)).rejects.toMatchObject({
    code: 'vault/damaged-inside',
  });
  expect(await store.listVaults()).toHaveLength(1);
  const request = { projects: [made.projectId], withData: true, withTrash: false };
  const { file, leftOut } = await store.exportArchive('save', request, null, quiet);
  expect(leftOut.join('\n')).toContain(word);
  const elsewhere = await stores.opened();
  await elsewhere.importArchive('open', file ?? new Blob(), null, quiet);
  expect(await elsewhere.listModels(made.projectId)).toHaveLength(1);
  expect(await elsewhere.listRuns(made.projectId)).toEqual([]);
  expect(await elsewhere.verify()).toEqual([]);
});

/** Leaves the record damaged whose description begins so, and the project open. */
async function damagedRecord(
  name: string,
  store: Store,
  made: Locked,
  begins: string,
): Promise<string> {
  const sealed = await rows<SealedRow>(`${name}-core`, 'sealed');
  for (const row of sealed) {
    await change(`${name}-core`, 'sealed', { ...row, bytes: flipped(row.bytes, 15) });
    const { damaged } = await store.unlockVault(made.projectId, secret);
    if (damaged[0]?.startsWith(begins)) return damaged[0];
    await store.closeVault(made.projectId);
    await change(`${name}-core`, 'sealed', row);
  }
  throw new Error('No record is described so.');
}

test('the project’s own record: another one stands in, set up as the newest run, and an edit puts it in its place', async () => {
  const name = stores.name();
  const store = await stores.opened({ name });
  const made = await locked(store);
  await store.closeVault(made.projectId);
  await damagedRecord(name, store, made, 'the project itself');
  const project = await store.getProject(made.projectId);
  const { config } = await store.getRun(made.runId);
  expect(project).toMatchObject({
    name: 'Locked project',
    datasetId: made.datasetId,
    target: config.target,
    training: config.training,
  });
  // Not an empty lock: what is imported next must not go here.
  expect(await store.listVaults()).toMatchObject([{ empty: false }]);
  await store.editProject(made.projectId, project.revision, { name: 'Named again' });
  expect(await store.listVaults()).toMatchObject([{ damaged: [] }]);
  await store.closeVault(made.projectId);
  const { project: later, damaged } = await store.unlockVault(made.projectId, secret);
  expect(damaged).toEqual([]);
  expect(later?.name).toBe('Named again');
  expect((await store.listModels(made.projectId)).map(({ id }) => id)).toEqual([made.modelId]);
  expect(await store.verify()).toEqual([]);
});

test('the lock’s own record: the damaged way in says so, the other one opens and mends it, and without both a backup does', async () => {
  const name = stores.name();
  const store = await stores.opened({ name });
  const made = await locked(store);
  const everything = { projects: 'all', withData: true, withTrash: false } as const;
  await store.closeVault(made.projectId);
  const { file } = await store.exportArchive('backup', everything, null, quiet);
  const [row] = await rows<VaultRow>(`${name}-core`, 'vaults');
  if (!row) throw new Error('no lock');
  const { passphrase, recovery } = row;
  const byKey = { recoveryKey: made.recoveryKey };
  const harmed = { code: 'vault/damaged-lock' };
  const badPassphrase = [
    { ...passphrase, bytes: flipped(passphrase.bytes, 3) },
    { ...passphrase, salt: flipped(passphrase.salt, 0) },
    { ...passphrase, memory: passphrase.memory + 1 },
    { ...passphrase, iv: 'no bytes at all' },
    undefined,
  ];
  for (const bad of badPassphrase) {
    await change(`${name}-core`, 'vaults', { ...row, passphrase: bad });
    await expect(store.unlockVault(made.projectId, secret)).rejects.toMatchObject(harmed);
    expect(await store.listVaults()).toMatchObject([{ open: false }]);
  }
  await store.unlockVault(made.projectId, byKey);
  await store.changePassphrase(made.projectId, byKey, 'another one');
  await store.closeVault(made.projectId);
  await store.unlockVault(made.projectId, { passphrase: 'another one' });
  await expectWhole(store, made);
  await store.closeVault(made.projectId);

  const bytes = flipped(recovery.bytes, 1);
  const both = { passphrase: badPassphrase[0], recovery: { ...recovery, bytes } };
  await change(`${name}-core`, 'vaults', { ...row, ...both });
  await expect(store.unlockVault(made.projectId, secret)).rejects.toMatchObject(harmed);
  await expect(store.unlockVault(made.projectId, byKey)).rejects.toMatchObject(harmed);
  await store.eraseVault(made.projectId);
  await store.importArchive('open', file ?? new Blob(), null, quiet);
  await store.unlockVault(made.projectId, secret);
  await expectWhole(store, made);
  expect(await store.verify()).toEqual([]);
}, 60_000);

test('a lock of before its record had a hash opens, and refuses what is wrong', async () => {
  const name = stores.name();
  const store = await stores.opened({ name });
  const made = await locked(store);
  await store.closeVault(made.projectId);
  const [row] = await rows<VaultRow>(`${name}-core`, 'vaults');
  if (!row) throw new Error('no lock');
  const passphrase = Object.entries(row.passphrase).filter(([key]) => key !== 'sha256');
  await change(`${name}-core`, 'vaults', { ...row, passphrase: Object.fromEntries(passphrase) });
  await expect(store.unlockVault(made.projectId, { passphrase: 'another' })).rejects.toMatchObject({
    code: 'vault/wrong-passphrase',
  });
  await store.unlockVault(made.projectId, secret);
  expect(numbersIn((await store.getCheckpoint(made.runId))?.best)).not.toBeNull();
});
