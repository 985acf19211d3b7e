import type { Executor } from '../../src/engine/executor';
import type { RunConfig } from '../../src/protocol/entities';
import { RunControl } from '../../src/training/control';
import { train } from '../../src/training/loop';
import type { LoopCheckpoint, LoopSummary } from '../../src/training/loop-types';
import { loopBasis, openSession } from '../../src/training/session';
import { blobs, BLOB_CONFIG, BLOB_RECIPE } from './blobs';
import { InMemoryBatches } from './in-memory-batches';

type Config = Pick<RunConfig, 'task' | 'blueprint' | 'training' | 'seed'>;

export interface BlobRun {
  readonly summary: LoopSummary;
  readonly checkpoints: readonly LoopCheckpoint[];
}

/** Trains the clouds on an executor from beginning or checkpoint to end, keeping a checkpoint at every event. */
export async function trainBlobs(
  executor: Executor,
  config: Config = BLOB_CONFIG,
  resumeFrom: LoopCheckpoint | null = null,
): Promise<BlobRun> {
  const parts = { train: blobs(150, 1), validation: blobs(45, 2) };
  const prepared = {
    recipe: BLOB_RECIPE,
    parts: { train: 150, validation: 45, test: 0 },
  };
  const session = await openSession(executor, config, prepared);
  const checkpoints: LoopCheckpoint[] = [];
  try {
    const run = train({
      ...loopBasis(session, config, prepared),
      batches: new InMemoryBatches(parts, config.training.batchSize),
      control: new RunControl(),
      lost: executor.lost,
      checkpoint: {
        everySeconds: 0,
        save: async (checkpoint) => {
          checkpoints.push(structuredClone(checkpoint));
        },
      },
      resumeFrom,
    });
    for (;;) {
      const next = await run.next();
      if (next.done) return { summary: next.value, checkpoints };
    }
  } finally {
    session.dispose();
  }
}
