/**
 * The training loop: an async generator that yields events and returns a summary. It knows Programs, a State and
 * a source of batches; not which executor runs them, where data comes from, or who listens. Everything that
 * decides the outcome is a function of the step number, so a run resumed from a checkpoint is bit-equal to one
 * that was never interrupted.
 */
import { AppError } from '../core/errors';
import { Prefetch } from './batch-source';
import { Course } from './course';
import type { LoopEvent, LoopRequest, LoopSummary } from './loop-types';
import { Turns } from './turns';

export async function* train(request: LoopRequest): AsyncGenerator<LoopEvent, LoopSummary> {
  const course = new Course(request);
  const turns = new Turns();
  try {
    return yield* steps(request, course, turns);
  } catch (error) {
    if (error instanceof AppError && error.code === 'engine/device-lost') {
      const { reason } = error.data;
      const said = typeof reason === 'string' ? reason : error.message;
      yield { type: 'lost', reason: said, step: course.step };
    }
    throw error;
  } finally {
    turns.close();
  }
}

async function* steps(
  request: LoopRequest,
  course: Course,
  turns: Turns,
): AsyncGenerator<LoopEvent, LoopSummary> {
  const { control, training, batches } = request;
  await course.begin();
  const stream = new Prefetch(batches, course.cursors());
  let saved = performance.now();

  while (course.step < course.stepsTotal && !course.finished) {
    const batch = await course.guard(stream.next());
    if (batch === null) break;
    await course.submit(batch);
    const profiled = control.profiling.news();
    if (profiled) yield profiled;

    if (course.atEpochEnd) {
      await course.settleAll();
      const validation = await course.validateEpoch();
      yield course.points();
      yield { type: 'hardest', examples: validation.hardest };
      if (course.outOfPatience || course.outOfTime) course.finished = true;
    } else if (course.readingDue) {
      await course.readFigures();
      if (course.hasNews) yield course.points();
    }
    // Wishes (pause, stop) are messages, and an executor that is busy on this very thread would never let them in.
    await turns.next();
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
    }
  }
  const profiled = control.profiling.news(true);
  if (profiled) yield profiled;
  const summary = await course.end(training);
  if (course.hasNews) yield course.points();
  await stream.drain();
  return summary;
}
