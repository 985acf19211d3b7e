/** Whatever a store holds: saved, wiped and opened again it holds the same records and the same bytes. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hashRecord } from '../../../../src/storage/record-hash';
import { sha256Hex } from '../../../../src/core/hash';
import type { Run } from '../../../../src/protocol/entities';
import type { Store } from '../../../../src/storage/store';
import { createStoreApi } from '../../../../src/storage/store';
import { rounds } from '../../../support/rounds';
import {
  PREDICTIONS,
  bytesOf,
  deleteStore,
  evaluationDraft,
  finished,
  freshName,
  modelDraft,
  projectDraft,
  rawDatabase,
  runDraft,
  tableManifest,
} from '../fixtures';
import { SUMMARY } from '../pretrained-fixture';

const quiet = () => undefined;
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter(
  // A lone surrogate is no text, and no id can be made of one.
  (text) => text.isWellFormed(),
);
const figure = fc.double({ noNaN: false });

const model = fc.record({
  name,
  bytes: fc.integer({ min: 1, max: 200 }),
  adapter: fc.boolean(),
  fromLast: fc.boolean(),
  stage: fc.constantFrom('draft', 'candidate', 'champion', 'retired'),
  trashed: fc.boolean(),
  judged: fc.boolean(),
});
const run = fc.record({
  name,
  status: fc.constantFrom<Run['status']>('done', 'stopped', 'failed'),
  losses: fc.array(figure, { maxLength: 5 }),
  made: fc.boolean(),
});
const project = fc.record({
  name,
  data: fc.nat(2),
  trashed: fc.boolean(),
  temporary: fc.boolean(),
  opened: fc.nat(2),
  runs: fc.array(run, { maxLength: 3 }),
  models: fc.array(model, { maxLength: 3 }),
});
const world = fc.record({
  partBytes: fc.constantFrom(16, 64, 1000),
  rows: fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 3, maxLength: 3 }),
  bodies: fc.array(fc.integer({ min: 1, max: 150 }), { maxLength: 2 }),
  projects: fc.array(project, { minLength: 1, maxLength: 3 }),
});
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

async function build(store: Store, { rows, bodies, projects }: World): Promise<void> {
  const datasets: string[] = [];
  for (const [index, bytes] of rows.entries()) {
    const chunk = await store.putChunk(bytesOf(index + 10, bytes));
    datasets.push((await store.putDataset(tableManifest(chunk, `data-${index}.csv`))).id);
  }
  for (const [index, bytes] of bodies.entries()) {
    const file = new Blob([bytesOf(index + 50, bytes)]);
    await store.putPretrained({ name: `body ${index}`, summary: SUMMARY }, file);
  }
  for (const [index, of] of projects.entries()) {
    const datasetId = datasets[of.data] ?? '';
    const draft = { ...projectDraft(datasetId), name: of.name, temporary: of.temporary };
    const { id } = await store.createProject(draft);
    for (let time = 0; time < of.opened; time++) await store.openTest(id);
    let last: string | null = null;
    for (const [number, made] of of.models.entries()) {
      const parent = made.fromLast ? last : null;
      const content = { ...modelDraft(id, null, datasetId), name: made.name, parentId: parent };
      const file = bytesOf(100 + index * 10 + number, made.bytes);
      const adapter = made.adapter ? bytesOf(200 + number, 20) : null;
      const kept = await store.putModel(content, file, adapter);
      await store.setStage(kept.id, made.stage);
      if (made.judged) {
        await store.putEvaluation(evaluationDraft(id, kept.id, datasetId), PREDICTIONS);
      }
      if (made.trashed) await store.trashModel(kept.id);
      last = kept.id;
    }
    for (const of2 of of.runs) {
      const curve = of2.losses.map((loss, step) => ({
        step,
        epoch: 0,
        series: 'training' as const,
        loss,
      }));
      const begun = await store.createRun({ ...runDraft(id, datasetId), name: of2.name, curve });
      await store.updateRun(begun.id, {
        status: of2.status,
        modelVersionId: of2.made ? last : null,
      });
    }
    if (of.trashed) await store.trashProject(id);
  }
}

/** Every record by its hash, every chunk by its hash. */
async function content(database: string): Promise<readonly string[]> {
  const found: string[] = [];
  const core = await rawDatabase(`${database}-core`);
  for (const table of ['projects', 'datasets', 'runs', 'models', 'evaluations', 'pretrained']) {
    const rows = core.transaction(table).objectStore(table);
    for (const row of (await finished(rows.getAll())) as object[]) {
      found.push(`${table} ${await hashRecord(row)}`);
    }
  }
  core.close();
  const cache = await rawDatabase(`${database}-cache`);
  const chunks = cache.transaction('chunks').objectStore('chunks');
  interface Row {
    readonly storageKey: string;
    readonly bytes: ArrayBuffer;
  }
  for (const { storageKey, bytes } of (await finished(chunks.getAll())) as Row[]) {
    found.push(`chunk ${storageKey} ${await sha256Hex(bytes)}`);
  }
  cache.close();
  return found.sort();
}

test('saved, wiped and opened: every record and every chunk has the hash that it had', async () => {
  await fc.assert(
    fc.asyncProperty(world, async (of) => {
      const made = freshName();
      const store = createStoreApi({ name: made, partBytes: of.partBytes });
      await store.open();
      await build(store, of);
      // Data that no project uses any more stays behind, as it would be removed in time.
      const request = { projects: 'all', withData: true, withTrash: true } as const;
      const { file, leftOut } = await store.exportArchive('save', request, null, quiet);
      expect(leftOut).toEqual([]);
      const used = new Set(of.projects.map(({ data }) => data)).size;
      const before = await content(made);
      const unused = 3 - used;
      await store.eraseEverything();
      expect(await content(made)).toEqual([]);
      const { projects } = await store.importArchive('open', file ?? new Blob(), null, quiet);
      expect(projects).toHaveLength(of.projects.length);
      const after = await content(made);
      const lost = before.filter((row) => !after.includes(row));
      expect(after.filter((row) => !before.includes(row))).toEqual([]);
      expect(lost.filter((row) => !/^(datasets|chunk) /.test(row))).toEqual([]);
      expect(lost.filter((row) => row.startsWith('datasets '))).toHaveLength(unused);
      if (unused === 0) expect(lost).toEqual([]);
      expect(await store.verify()).toEqual([]);
      store.close();
      await deleteStore(made);
    }),
    { numRuns: rounds(12, 200) },
  );
}, 600_000);
