/** A locked project in a real IndexedDB: what lies on the disk, what is refused, and what every crash leaves. */
import { describe, expect, test } from 'vitest';
import type { VaultRow } from '../../../src/protocol/vault';
import type { ChunkRow, SealedRow } from '../../../src/storage/schema';
import { PREDICTIONS, fill, freshStores, numbersIn, runDraft } from './fixtures';
import {
  CANARY,
  PASSPHRASE,
  change,
  expectWhole,
  flipped,
  locked,
  rows,
  wholeDisk,
} from './vault-fixture';

const stores = freshStores();

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
      [{ ...foreign, projectId: row.projectId }, 'vault/damaged-lock'],
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
