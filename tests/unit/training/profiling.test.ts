/** Profiling on the way of a run and without one: the same bits, the asked number of steps, an honest end. */
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import type { Executor } from '../../../src/engine/executor';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import type { TrainEvent } from '../../../src/protocol/api';
import { RunControl } from '../../../src/training/control';
import { train } from '../../../src/training/loop';
import type { LoopEvent, LoopSummary } from '../../../src/training/loop-types';
import { profileAlone } from '../../../src/training/profile-alone';
import type { ProfileEvent } from '../../../src/training/profiling';
import { loopBasis, openSession } from '../../../src/training/session';
import { blobs, BLOB_CONFIG, BLOB_RECIPE } from '../../support/blobs';
import { InMemoryBatches } from '../../support/in-memory-batches';
import { runConfig } from '../../support/run-config';

const PREPARED = {
  recipe: BLOB_RECIPE,
  parts: { train: 150, validation: 45, test: 0 },
  classCounts: [75, 50, 25],
  findings: [],
};
const CONFIG = runConfig({ datasetId: 'd1', target: 'cloud', ...BLOB_CONFIG });
const STEPS = 60;

function batches(): InMemoryBatches {
  return new InMemoryBatches({ train: blobs(150, 1), validation: blobs(45, 2) }, 16);
}

/** An executor like another, but one that cannot time its kernels. */
function withoutProfile(executor: Executor): Executor {
  return {
    ...executor,
    compile: async (...args) => {
      const program = await executor.compile(...args);
      return { step: (feeds) => program.step(feeds), stats: {}, dispose: () => program.dispose() };
    },
  };
}

async function run(
  onEvent: (event: LoopEvent | null, control: RunControl) => void,
  executor = createReferenceExecutor(),
  config = CONFIG,
): Promise<{ summary: LoopSummary; profiles: ProfileEvent[] }> {
  const session = await openSession(executor, config, PREPARED);
  const control = new RunControl();
  control.profiling.modelNodes = session.forward.nodes.map(({ name }) => name);
  const profiles: ProfileEvent[] = [];
  const source = batches();
  try {
    const course = train({
      ...loopBasis(session, config, PREPARED),
      batches: source,
      control,
      lost: executor.lost,
      checkpoint: null,
      resumeFrom: null,
    });
    onEvent(null, control);
    for (;;) {
      const next = await course.next();
      if (next.done) {
        expect(source.held).toBe(0);
        return { summary: next.value, profiles };
      }
      if (next.value.type === 'profile') profiles.push(next.value);
      onEvent(next.value, control);
    }
  } finally {
    session.dispose();
  }
}

describe('profiling on the way of a run', () => {
  it('changes nothing of what is learned, and tells of every step', async () => {
    const plain = await run(() => undefined);
    let asked = false;
    const watched = await run((event, control) => {
      if (asked || event?.type !== 'points') return;
      asked = true;
      control.profiling.begin(10);
    });
    expect(plain.profiles).toEqual([]);
    expect(watched.summary.state).toEqual(plain.summary.state);
    expect(watched.summary.loop.curve).toEqual(plain.summary.loop.curve);
    expect(watched.profiles.map(({ done, of }) => [done, of])).toEqual(
      Array.from({ length: 10 }, (_, index) => [index + 1, 10]),
    );
    expect(watched.profiles.slice(0, -1).every(({ profile }) => profile === null)).toBe(true);
    const profile = watched.profiles.at(-1)?.profile;
    expect(profile?.steps).toBe(10);
    expect(profile?.modelNodes).toContain('dense1.gemm');
    const origins = new Set(profile?.step.kernels.flatMap((kernel) => kernel.origins ?? []));
    for (const name of ['dense1.gemm', 'dense2.gemm', 'output.gemm']) {
      expect(origins).toContain(name);
    }
  });

  it('gives what there is when the run ends first', async () => {
    const { profiles, summary } = await run((event, control) => {
      if (event === null) control.profiling.begin(STEPS + 5);
    });
    expect(summary.stepsDone).toBe(STEPS);
    expect(profiles.at(-1)).toMatchObject({ done: STEPS, profile: { steps: STEPS } });
  });

  it('can be asked twice', async () => {
    const { profiles } = await run((event, control) => {
      if (event === null || (event.type === 'hardest' && !control.profiling.active)) {
        control.profiling.begin(2);
      }
    });
    const results = profiles.filter(({ profile }) => profile !== null);
    expect(results.length).toBeGreaterThan(2);
    for (const { profile } of results) expect(profile?.steps).toBe(2);
  });

  it('says when a step is made of micro-batches, of which one is timed', async () => {
    const training = { ...CONFIG.training, accumulate: 2 };
    const { profiles } = await run(
      (event, control) => {
        if (event === null) control.profiling.begin(2);
      },
      createReferenceExecutor(),
      { ...CONFIG, training },
    );
    const profile = profiles.at(-1)?.profile;
    expect(profile).toMatchObject({ steps: 2, microBatches: 2 });
    const phases = new Set(profile?.step.kernels.map(({ phase }) => phase));
    expect(phases).toEqual(new Set(['forward', 'backward']));
  });

  it('is passed over by an executor that cannot', async () => {
    const { profiles, summary } = await run((event, control) => {
      if (event === null) control.profiling.begin(3);
    }, withoutProfile(createReferenceExecutor()));
    expect(profiles).toEqual([]);
    expect(summary.stepsDone).toBe(STEPS);
  });
});

describe('profiling without a run', () => {
  const request = (executor = createReferenceExecutor(), control = new RunControl()) => ({
    config: CONFIG,
    prepared: PREPARED,
    executor,
    control,
    batches: batches(),
    steps: 5,
    onEvent: () => undefined,
  });

  it('times the first steps and gives every batch back', async () => {
    const asked = request();
    const profile = await profileAlone(asked);
    expect(profile?.steps).toBe(5);
    expect(profile?.step.kernels.length).toBeGreaterThan(10);
    expect(asked.batches.held).toBe(0);
  });

  it('ends early with what it has when it is stopped', async () => {
    const control = new RunControl();
    const asked = {
      ...request(createReferenceExecutor(), control),
      onEvent: ({ type }: TrainEvent) => {
        if (type === 'profile') control.stop();
      },
    };
    expect((await profileAlone(asked))?.steps).toBe(1);
    control.stop();
    expect(await profileAlone(request(createReferenceExecutor(), control))).toBeNull();
  });

  it('takes no more steps than the training has', async () => {
    const profile = await profileAlone({ ...request(), steps: 1000 });
    expect(profile?.steps).toBe(STEPS);
  });

  it('refuses an executor that cannot time its kernels', async () => {
    const refused = profileAlone(request(withoutProfile(createReferenceExecutor())));
    await expect(refused).rejects.toSatisfy(
      (error) => error instanceof AppError && error.code === 'training/no-profile',
    );
  });
});
