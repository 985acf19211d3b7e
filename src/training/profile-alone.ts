/** A profile without a run: the first steps of a configuration, of which nothing is kept. */
import { AppError } from '../core/errors';
import type { Executor } from '../engine/executor';
import type { Prepared, Progress, TrainEvent } from '../protocol/api';
import type { RunConfig } from '../protocol/entities';
import type { RunProfile } from '../protocol/profile';
import { Prefetch } from './batch-source';
import type { BatchSource } from './batch-source';
import type { RunControl } from './control';
import { Course } from './course';
import { loopBasis, openSession } from './session';

export interface AloneRequest {
  readonly config: RunConfig;
  readonly prepared: Prepared;
  readonly executor: Executor;
  readonly control: RunControl;
  readonly batches: BatchSource;
  readonly steps: number;
  readonly onEvent: (event: TrainEvent) => void;
}

/** A small configuration may have fewer steps in all; null where it was stopped before the first. */
export async function profileAlone(request: AloneRequest): Promise<RunProfile | null> {
  const { config, prepared, executor, control, batches, steps, onEvent } = request;
  const { profiling } = control;
  const phase = (progress: Progress): void => onEvent({ type: 'phase', progress });
  const session = await openSession(executor, config, prepared, null, false, phase);
  try {
    if (!(session.micro ?? session.train).profile) {
      throw new AppError(
        'training/no-profile',
        'This engine cannot time its kernels one by one. Choose another device for this project.',
        { executor: executor.name },
      );
    }
    profiling.modelNodes = session.forward.nodes.map(({ name }) => name);
    const course = new Course({
      ...loopBasis(session, config, prepared),
      control,
      batches,
      lost: executor.lost,
      checkpoint: null,
      resumeFrom: null,
    });
    const stream = new Prefetch(batches, course.cursors());
    let profile: RunProfile | null = null;
    const tell = (ended: boolean): void => {
      const event = profiling.news(ended);
      if (!event) return;
      profile = event.profile;
      onEvent(event);
    };
    profiling.begin(Math.min(steps, course.stepsTotal));
    while (profiling.active && !control.stopWanted) {
      const batch = await course.guard(stream.next());
      if (batch === null) break;
      await course.submit(batch);
      tell(false);
      // A stop is heard only when the event loop turns.
      await new Promise((resolve) => setTimeout(resolve));
    }
    await course.settleAll();
    tell(true);
    await stream.drain();
    return profile;
  } finally {
    session.dispose();
  }
}
