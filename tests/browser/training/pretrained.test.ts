/** A frozen part's answers on the executors that train, against the reference, and training on them against training through it. */
import { describe, expect, it } from 'vitest';
import type { Executor } from '../../../src/engine/executor';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { PretrainedBlueprint } from '../../../src/protocol/fine-tune';
import { asBase } from '../../../src/training/base';
import type { Batch, BatchCursor, BatchSource } from '../../../src/training/batch-source';
import { RunControl } from '../../../src/training/control';
import { FeatureBatches, lookAtAll } from '../../../src/training/features';
import type { FeatureTable } from '../../../src/training/features';
import { prepareLesson } from '../../../src/training/lesson';
import { withBatch } from '../../../src/training/look';
import { train } from '../../../src/training/loop';
import { loopBasis, openSession } from '../../../src/training/session';
import { BLOB_TRAINING } from '../../support/blobs';
import { InMemoryBatches } from '../../support/in-memory-batches';
import { stripes, STRIPES_RECIPE, tinyClassifier } from '../../support/tiny-body';

const PARTS = { train: stripes(48, 1), validation: stripes(24, 2) };
const PREPARED = { recipe: STRIPES_RECIPE, parts: { train: 48, validation: 24, test: 0 } };
const BASE = { graph: asBase(tinyClassifier()), name: 'tiny', sha256: '' };
const BLUEPRINT: PretrainedBlueprint = {
  kind: 'pretrained',
  source: { kind: 'own', sha256: '' },
  cut: null,
  head: { hidden: 0, dropout: 0 },
  strategy: { kind: 'last-blocks', blocks: 1 },
  batchNorm: 'frozen',
  picture: null,
};
const CONFIG = {
  task: 'classification',
  blueprint: BLUEPRINT,
  training: { ...BLOB_TRAINING, epochs: 3 },
  seed: 2,
} as const;

/** Rows of the dataset: no row is in both parts. */
class Source extends InMemoryBatches implements BatchSource {
  override async next(cursor: BatchCursor): Promise<Batch> {
    const batch = await super.next(cursor);
    return cursor.part === 'train'
      ? batch
      : { ...batch, rows: batch.rows.map((row) => row + 1000) };
  }
}

const lesson = () =>
  prepareLesson(BLUEPRINT, BASE, { featureDims: STRIPES_RECIPE.featureDims, outputs: 3, seed: 2 });

async function answers(executor: Executor): Promise<FeatureTable> {
  const { split } = lesson();
  if (split === null) throw new Error('Nothing is frozen.');
  return lookAtAll({
    executor,
    frozen: withBatch(split.body, 16),
    batchSize: 16,
    rows: { train: 48, validation: 24 },
    noun: 'pictures',
    batches: new Source(PARTS, 16),
    control: new RunControl(),
    onProgress: () => undefined,
  });
}

async function losses(executor: Executor, table: FeatureTable | null): Promise<number[]> {
  const session = await openSession(executor, CONFIG, PREPARED, lesson(), table !== null);
  const source = new Source(PARTS, 16);
  const run = train({
    ...loopBasis(session, CONFIG, PREPARED),
    batches: table ? new FeatureBatches(source, table) : source,
    control: new RunControl(),
    lost: executor.lost,
    checkpoint: null,
    resumeFrom: null,
  });
  for (;;) {
    const next = await run.next();
    if (!next.done) continue;
    session.dispose();
    return next.value.loop.curve.map(({ loss }) => loss);
  }
}

describe.each([
  ['wasm', createWasmExecutor],
  ['webgpu', createWebgpuExecutor],
] as const)('what is frozen, on %s', (_, create) => {
  it('answers as on the reference, and is learned on as if it ran at every step', async () => {
    const executor = await create();
    const expected = await answers(createReferenceExecutor());
    const table = await answers(executor);
    expect(table.width).toBe(6 * 64);
    expect([...table.places]).toEqual([...expected.places]);
    table.values.forEach((value, i) => {
      if (Math.abs(value - (expected.values[i] ?? NaN)) > 1e-4)
        throw new Error(`At ${i}: ${value}`);
    });
    const kept = await losses(executor, table);
    const direct = await losses(executor, null);
    expect(kept.length).toBe(direct.length);
    kept.forEach((loss, i) => expect(loss).toBeCloseTo(direct[i] ?? NaN, 3));
    executor.dispose();
  });
});
