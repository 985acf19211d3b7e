/**
 * The training loop: an async generator that yields events and returns a summary. It knows Programs, a State and
 * a source of batches; not which executor runs them, where data comes from, or who listens. Everything that
 * decides the outcome is a function of the step number, so a run resumed from a checkpoint is bit-equal to one
 * that was never interrupted.
 */
import { Prefetch } from './batch-source';
import { Course } from './course';
import type { LoopEvent, LoopRequest, LoopSummary } from './loop-types';

/** Events are gathered for so long, so that a fast run does not flood its listener. */
const EVENT_MS = 100;

export async function* train(request: LoopRequest): AsyncGenerator<LoopEvent, LoopSummary> {
  const { control, training, batches } = request;
  const course = new Course(request);
  await course.begin();
  const stream = new Prefetch(batches, course.cursors());
  let saved = performance.now();
  let told = performance.now();

  while (course.step < course.stepsTotal && !course.finished) {
    const batch = await course.guard(stream.next());
    if (batch === null) break;
    await course.submit(batch);

    if (course.atEpochEnd) {
      await course.settleAll();
      const validation = await course.validateEpoch();
      yield course.points();
      yield { type: 'hardest', examples: validation.hardest };
      if (course.outOfPatience || course.outOfTime) course.finished = true;
    }
    if (control.stopWanted) break;

    const now = performance.now();
    if (request.checkpoint && now - saved > request.checkpoint.everySeconds * 1000) {
      yield await course.save();
      saved = performance.now();
    }
    if (control.pauseWanted) {
      yield await course.save();
      yield course.points();
      yield { type: 'state', state: 'paused' };
      course.stopClock();
      await control.untilResumed();
      course.startClock();
      // It may have been stopped instead, and then there is nothing to announce.
      if (!control.stopWanted) yield { type: 'state', state: 'running' };
    } else if (now - told > EVENT_MS) {
      if (course.hasNews) yield course.points();
      told = performance.now();
      // Messages (pause, stop) arrive only when the event loop turns, and a busy executor may never let it.
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
  const summary = await course.end(training);
  if (course.hasNews) yield course.points();
  await stream.drain();
  return summary;
}
