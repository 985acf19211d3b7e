/** One writer a project: claims, epochs, take-overs, and that no write of a project goes past them. */
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { changesChannel, writerLock } from '../../../src/protocol/tabs';
import type { StoreChange } from '../../../src/protocol/tabs';
import type { StoreMiddleware } from '../../../src/storage/schema';
import type { Store } from '../../../src/storage/store';
import { rounds } from '../../support/rounds';
import {
  DAY,
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
} from './fixtures';
import type { Filled } from './fixtures';

const stores = freshStores();
afterEach(() => {
  vi.restoreAllMocks();
});

const ELSEWHERE = { code: 'store/elsewhere' };
const MOVED = { code: 'store/moved' };

async function twoStores(middleware?: StoreMiddleware) {
  const name = stores.name();
  const a = await stores.opened({ name, ...(middleware && { middleware }) });
  const filled = await fill(a);
  const b = await stores.opened({ name });
  return { name, a, b, ...filled, id: filled.projectId };
}

/** What is asked of the lock manager inside `work` never hears that a lock was stolen, as in a frozen tab. */
async function deaf<T>(work: () => Promise<T>): Promise<T> {
  const request = navigator.locks.request.bind(navigator.locks);
  const spy = vi.spyOn(navigator.locks, 'request');
  spy.mockImplementation((...args: unknown[]) => {
    let kept: unknown = null;
    const callback = args.at(-1);
    const own = (lock: Lock | null): unknown =>
      (kept = typeof callback === 'function' ? Reflect.apply(callback, null, [lock]) : null);
    const over: Promise<unknown> = Reflect.apply(request, null, [...args.slice(0, -1), own]);
    // Stolen: it goes on as if nothing had happened, until it lets go by itself.
    return over.catch(() => kept);
  });
  try {
    return await work();
  } finally {
    spy.mockRestore();
  }
}

describe('a claim', () => {
  test('keeps other tabs from writing until it is given back; reading stays free', async () => {
    const { a, b, id } = await twoStores();
    const { epoch } = await a.claimProject(id);
    expect(await a.claimProject(id)).toEqual({ epoch });
    await a.releaseProject(id);
    const twice = await Promise.all([a.claimProject(id), a.claimProject(id)]);
    expect(twice).toEqual([{ epoch: epoch + 1 }, { epoch: epoch + 1 }]);
    await expect(b.claimProject(id)).rejects.toMatchObject(ELSEWHERE);
    await expect(b.openTest(id)).rejects.toMatchObject(ELSEWHERE);
    expect(await b.getProject(id)).toMatchObject({ testOpened: 0 });
    expect((await b.exportProject(id, { withData: true })).file.size).toBeGreaterThan(0);
    await a.openTest(id);
    await a.releaseProject(id);
    expect(await b.claimProject(id)).toEqual({ epoch: epoch + 2 });
    expect(await b.openTest(id)).toMatchObject({ testOpened: 2 });
    await expect(a.openTest(id)).rejects.toMatchObject(ELSEWHERE);
  });

  test('is for one project: two tabs write two projects', async () => {
    const { a, b, id } = await twoStores();
    const other = await b.createProject(projectDraft());
    await a.claimProject(id);
    await b.claimProject(other.id);
    await Promise.all([a.openTest(id), b.openTest(other.id)]);
    await expect(a.openTest(other.id)).rejects.toMatchObject(ELSEWHERE);
  });

  test('of one of two tabs that open the project at once', async () => {
    const { a, b, id } = await twoStores();
    const both = await Promise.allSettled([a.claimProject(id), b.claimProject(id)]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  test('lasts while a run of the tab is under way, though its page has left the project', async () => {
    const { a, b, id, datasetId } = await twoStores();
    await a.claimProject(id);
    const run = await a.createRun(runDraft(id, datasetId));
    await a.releaseProject(id);
    await expect(b.claimProject(id)).rejects.toMatchObject(ELSEWHERE);
    await a.updateRun(run.id, { status: 'failed' });
    await b.claimProject(id);
  });

  test('is had after a reload, although the old page lets go of it only a moment later', async () => {
    const { a, b, id } = await twoStores();
    await a.claimProject(id);
    setTimeout(() => a.close(), 100);
    await b.claimProject(id);
    await b.openTest(id);
  });

  test('of a project that is not there fails, and leaves nothing', async () => {
    const { name, a } = await twoStores();
    await expect(a.claimProject('nobody')).rejects.toMatchObject({ code: 'store/not-found' });
    const raw = await rawDatabase(`${name}-core`);
    const rows = raw.transaction('writers').objectStore('writers');
    expect(await finished(rows.get('nobody'))).toBeUndefined();
    raw.close();
  });
});

describe('a take-over', () => {
  test('is heard of, refuses what the former writer writes, and both see the same', async () => {
    const { name, a, b, id } = await twoStores();
    const heard: StoreChange[] = [];
    const channel = new BroadcastChannel(changesChannel(name));
    channel.onmessage = ({ data }) => heard.push(data);
    const { epoch } = await a.claimProject(id);
    await expect(b.claimProject(id)).rejects.toMatchObject(ELSEWHERE);
    expect(await b.claimProject(id, { takeOver: true })).toEqual({ epoch: epoch + 1 });
    await b.openTest(id);
    await expect(a.openTest(id)).rejects.toMatchObject(MOVED);
    expect(await a.getProject(id)).toEqual(await b.getProject(id));
    await expect
      .poll(() => heard)
      .toEqual(
        expect.arrayContaining([
          { type: 'lost', projectId: id, epoch },
          { type: 'claimed', projectId: id, epoch: epoch + 1 },
          { type: 'written', projectId: id, tables: expect.arrayContaining(['projects']) },
        ]),
      );
    channel.close();
    // And it goes back the same way.
    await a.claimProject(id, { takeOver: true });
    await a.openTest(id);
    await expect(b.openTest(id)).rejects.toMatchObject(MOVED);
    expect(await a.getProject(id)).toMatchObject({ testOpened: 2 });
  });

  test('aborts the write of a tab that has not heard of it', async () => {
    const { a, b, id, runId } = await twoStores();
    await deaf(() => a.claimProject(id));
    await b.claimProject(id, { takeOver: true });
    const before = await b.getProject(id);
    await expect(a.editProject(id, before.revision, { name: 'Late' })).rejects.toMatchObject(MOVED);
    await expect(a.updateRun(runId, { name: 'Late' })).rejects.toMatchObject(MOVED);
    expect(await b.getProject(id)).toEqual(before);
  });

  test('while a write waits for the disk: the write is done before, or not at all', async () => {
    const { name, a, b, id } = await twoStores();
    await deaf(() => a.claimProject(id));
    const raw = await rawDatabase(`${name}-core`);
    const stalled = raw.transaction(['writers', 'projects'], 'readwrite');
    let stall = true;
    const keep = (): void => {
      if (stall) stalled.objectStore('writers').get('').onsuccess = keep;
    };
    keep();
    const written = a.openTest(id);
    // Its transaction stands in the queue before that of the thief.
    await new Promise((resolve) => setTimeout(resolve, 20));
    const stolen = b.claimProject(id, { takeOver: true });
    await new Promise((resolve) => setTimeout(resolve, 20));
    stall = false;
    await stolen;
    expect(await written).toMatchObject({ testOpened: 1 });
    expect(await b.openTest(id)).toMatchObject({ testOpened: 2 });
    raw.close();
  });

  test('interrupts the run of the former tab, which can neither end it nor touch its checkpoint', async () => {
    const { a, b, id, datasetId } = await twoStores();
    const run = await deaf(() => a.createRun(runDraft(id, datasetId)));
    await a.putCheckpoint(checkpointDraft(run.id, 4), bytesOf(4), null);
    await b.claimProject(id, { takeOver: true });
    expect(await b.getRun(run.id)).toMatchObject({ status: 'interrupted' });
    await expect(a.updateRun(run.id, { status: 'done' })).rejects.toMatchObject(MOVED);
    await b.updateRun(run.id, { status: 'running' });
    await b.putCheckpoint(checkpointDraft(run.id, 8), bytesOf(8), null);
    // Its bytes would lie in the very slot that counts now, were the slots not the claim's own.
    const late = a.putCheckpoint(checkpointDraft(run.id, 6), bytesOf(6), null);
    await expect(late).rejects.toMatchObject(MOVED);
    const kept = await b.getCheckpoint(run.id);
    expect(kept?.checkpoint.step).toBe(8);
    expect(numbersIn(kept?.state)).toEqual(numbersIn(bytesOf(8)));
    expect(await b.verify()).toEqual([]);
  });

  test('of a run that is not stolen from a living tab leaves it running', async () => {
    const { name, a, id, datasetId } = await twoStores();
    const run = await a.createRun(runDraft(id, datasetId));
    const third = await stores.opened({ name });
    expect((await third.open()).interrupted).toEqual([]);
    expect(await third.getRun(run.id)).toMatchObject({ status: 'running' });
  });
});

describe('any interleaving of two writers', () => {
  type Action = 'count' | 'run' | 'claim' | 'take' | 'let';
  const step = fc.record({
    by: fc.constantFrom(0, 1),
    action: fc.constantFrom<Action[]>('count', 'run', 'claim', 'take', 'let'),
    /** Does not wait for its answer. */
    together: fc.boolean(),
  });
  const script = fc.record({
    deaf: fc.boolean(),
    steps: fc.array(step, { minLength: 2, maxLength: 14 }),
    last: fc.constantFrom(0, 1),
  });

  const limit = rounds(60_000, 900_000);
  test(
    'what was acknowledged is there, what was refused is not, and one of them writes',
    { timeout: limit },
    async () => {
      const { a, b, ...filled } = await twoStores();
      const both = [a, b] as const;
      let refusals = 0;
      let thefts = 0;
      const property = fc.asyncProperty(script, async ({ steps, last, deaf: frozen }) => {
        const { id } = await a.createProject(projectDraft(filled.datasetId));
        const kept: string[] = [];
        const refused: string[] = [];
        let counted = 0;
        const act = async (store: Store, action: Action, name: string): Promise<void> => {
          if (action === 'count') await store.openTest(id).then(() => (counted += 1));
          if (action === 'run') {
            const draft = { ...runDraft(id, filled.datasetId, 'done'), name };
            await store.createRun(draft).then(() => kept.push(name));
          }
          if (action === 'claim') await store.claimProject(id);
          if (action === 'take') await store.claimProject(id, { takeOver: true });
          if (action === 'let') await store.releaseProject(id);
        };
        const all = async (): Promise<void> => {
          const pending: Promise<void>[] = [];
          for (const [index, { by, action, together }] of steps.entries()) {
            const name = `run ${index}`;
            const done = act(both[by] ?? a, action, name).catch((error: unknown) => {
              if (!(error instanceof AppError)) throw error;
              expect(['store/moved', 'store/elsewhere']).toContain(error.code);
              refusals += 1;
              if (action === 'run') refused.push(name);
            });
            thefts += action === 'take' ? 1 : 0;
            if (together) pending.push(done);
            else await done;
          }
          await Promise.all(pending);
        };
        await (frozen ? deaf(all) : all());
        const [winner, loser] = last === 0 ? [a, b] : [b, a];
        await winner.claimProject(id, { takeOver: true });
        await winner.openTest(id);
        await expect(loser.openTest(id)).rejects.toMatchObject({
          code: expect.stringMatching(/store\/(moved|elsewhere)/),
        });
        for (const store of both) {
          expect(await store.getProject(id)).toMatchObject({ testOpened: counted + 1 });
          const names = (await store.listRuns(id)).map((run) => run.name);
          expect(names.sort()).toEqual([...kept].sort());
          for (const name of refused) expect(names).not.toContain(name);
          await store.releaseProject(id);
        }
      });
      await fc.assert(property, { numRuns: rounds(12, 500) });
      expect(refusals).toBeGreaterThan(0);
      expect(thefts).toBeGreaterThan(0);
      expect(await a.verify()).toEqual([]);
    },
  );
});

/** Tables whose rows belong to one project. */
const OF_PROJECTS = ['projects', 'links', 'runs', 'checkpoints', 'models', 'evaluations'];

/** Every write of the store to a project; the others are `FREE`. A new method must be put into one of the two. */
function projectWrites(store: Store, f: Filled): Record<string, () => Promise<unknown>> {
  const { projectId: id, runId, modelId, datasetId } = f;
  return {
    claimProject: () => store.claimProject(id),
    editProject: async () =>
      store.editProject(id, (await store.getProject(id)).revision, { name: 'New' }),
    trashProject: () => store.trashProject(id),
    restoreProject: () => store.restoreProject(id),
    openTest: () => store.openTest(id),
    createRun: () => store.createRun(runDraft(id, datasetId, 'failed')),
    updateRun: () => store.updateRun(runId, { name: 'New' }),
    finishRun: async () => {
      const draft = runDraft(id, datasetId);
      const run = (await store.listRuns(id)).find(({ status }) => status === 'interrupted');
      const target = run ?? (await store.createRun(draft));
      const model = modelDraft(id, target.id, datasetId);
      return store.finishRun(target.id, { status: 'done' }, model, bytesOf(3));
    },
    putCheckpoint: async () => {
      const run = (await store.listRuns(id)).find(({ status }) => status === 'failed');
      const target = run ?? (await store.createRun(runDraft(id, datasetId, 'failed')));
      return store.putCheckpoint(checkpointDraft(target.id, 1), bytesOf(1), null);
    },
    putModel: () => store.putModel(modelDraft(id, null, datasetId), bytesOf(2)),
    setStage: () => store.setStage(modelId, 'champion'),
    renameModel: () => store.renameModel(modelId, 'New'),
    trashModel: () => store.trashModel(modelId),
    restoreModel: () => store.restoreModel(modelId),
    putEvaluation: () => store.putEvaluation(evaluationDraft(id, modelId, datasetId), PREDICTIONS),
    eraseProject: () => store.eraseProject(id),
  };
}

/** Reads, new projects, and what belongs to no project. */
const FREE: readonly string[] = [
  ...['open', 'close', 'releaseProject', 'usage', 'verify', 'collectGarbage', 'eraseEverything'],
  ...['putChunk', 'getChunk', 'discardChunks', 'putDataset', 'getDataset', 'listDatasets'],
  ...['createProject', 'getProject', 'listProjects', 'duplicateProject', 'describeDeletion'],
  ...[
    'salvage',
    'planExport',
    'exportArchive',
    'readArchive',
    'importArchive',
    'cancelArchive',
    'backupStates',
  ],
  ...['exportProject', 'importProject', 'getRun', 'listRuns', 'getCheckpoint'],
  ...[
    'salvage',
    'planExport',
    'exportArchive',
    'readArchive',
    'importArchive',
    'cancelArchive',
    'backupStates',
  ],
  ...['getModel', 'listModels', 'listEvaluations', 'getPredictions'],
  ...['beginImport', 'discardImport', 'listInterruptedImports'],
  ...['putPretrained', 'getPretrained', 'getPretrainedFile', 'listPretrained', 'erasePretrained'],
  ...['putFeatures', 'getFeatures', 'getSetting', 'setSetting'],
  ...['describeStorage', 'freeStorage', 'freeBallast', 'acknowledgeLoss', 'heal'],
  // A lock's row is of its project too, and written by `writeProject`; `lockProject` stands for them below.
  ...['listVaults', 'createVault', 'lockProject', 'unlockVault', 'closeVault', 'changePassphrase'],
  ...['renewRecoveryKey', 'editVault', 'removeLock', 'eraseVault'],
];

describe('no write goes past the claim', () => {
  /** Notes transactions that changed a project's rows and never looked at `writers`. */
  function watched() {
    const looked = new WeakSet<object>();
    const changed = new Map<object, string>();
    const middleware: StoreMiddleware = {
      stack: 'dbcore',
      name: 'watched-writers',
      create: (down) => ({
        ...down,
        table: (tableName) => {
          const table = down.table(tableName);
          if (tableName === 'writers') {
            return {
              ...table,
              get: (request) => (looked.add(request.trans), table.get(request)),
              mutate: (request) => (looked.add(request.trans), table.mutate(request)),
            };
          }
          if (!OF_PROJECTS.includes(tableName)) return table;
          return {
            ...table,
            mutate: (request) => {
              changed.set(request.trans, `${request.type} in ${tableName}`);
              return table.mutate(request);
            },
          };
        },
      }),
    };
    const unguarded = (): string[] =>
      [...changed].filter(([trans]) => !looked.has(trans)).map(([, what]) => what);
    return { middleware, unguarded, changed };
  }

  test('each transaction that changes a project checks who writes it', async () => {
    const { middleware, unguarded, changed } = watched();
    const name = stores.name();
    let now = Date.now();
    const store = await stores.opened({ name, middleware, now: () => now });
    const filled = await fill(store);
    for (const [what, write] of Object.entries(projectWrites(store, filled))) {
      changed.clear();
      await write();
      expect(unguarded(), what).toEqual([]);
    }
    changed.clear();
    const second = await fill(store, 2);
    await store.duplicateProject(second.projectId);
    const { file } = await store.exportProject(second.projectId, { withData: true });
    await store.importProject(file);
    await store.trashModel(second.modelId);
    const left = await store.createRun(runDraft(second.projectId, second.datasetId));
    store.close();
    now += 40 * DAY;
    const next = await stores.opened({ name, middleware, now: () => now });
    expect(await next.getRun(left.id)).toMatchObject({ status: 'interrupted' });
    await expect(next.getModel(second.modelId)).rejects.toMatchObject({ code: 'store/not-found' });
    await next.eraseEverything();
    expect(changed.size).toBeGreaterThan(10);
    expect(unguarded()).toEqual([]);
  });

  test('each write is refused while another tab is the writer', async () => {
    const { a, b, ...filled } = await twoStores();
    const { projectId: id, datasetId } = filled;
    await a.createRun(runDraft(id, datasetId, 'failed'));
    await a.createRun(runDraft(id, datasetId, 'interrupted'));
    await a.claimProject(id);
    const before = await b.exportProject(id, { withData: true });
    for (const [what, write] of Object.entries(projectWrites(b, filled))) {
      await expect(write(), what).rejects.toMatchObject(ELSEWHERE);
    }
    const lock = b.lockProject(id, 'Birds', 'a passphrase that is long enough');
    await expect(lock).rejects.toMatchObject(ELSEWHERE);
    expect((await a.exportProject(id, { withData: true })).contents).toEqual(before.contents);
  });

  test('every method of the store is known to write a project, or not to', async () => {
    const store = await stores.opened();
    const writes = Object.keys(projectWrites(store, await fill(store)));
    const unknown = Object.keys(store).filter(
      (method) => !writes.includes(method) && !FREE.includes(method),
    );
    expect(unknown).toEqual([]);
  });
});

test('erasing everything leaves a tab that still writes with nothing to write to', async () => {
  const { name, a, b, id } = await twoStores();
  await a.claimProject(id);
  await b.eraseEverything();
  await expect(a.openTest(id)).rejects.toMatchObject(MOVED);
  await expect(a.claimProject(id)).rejects.toMatchObject({ code: 'store/not-found' });
  expect(await b.listProjects()).toEqual([]);
  a.close();
  await expect
    .poll(async () => (await navigator.locks.query()).held?.map((lock) => lock.name))
    .not.toContain(writerLock(name, id));
});
