/**
 * The training loop: an async generator that yields events and returns a summary. It knows Programs, a State and
 * a source of batches; not which executor runs them, where data comes from, or who listens. Everything that
 * decides the outcome is a function of the step number, so a run resumed from a checkpoint is bit-equal to one
 * that was never interrupted.
 */
import { AppError } from '../core/errors';
import { Prefetch } from './batch-source';
import { Course } from './course';
import { divergenceOf } from './divergence';
import type { LoopEvent, LoopRequest, LoopSummary } from './loop-types';
import { Turns } from './turns';

/** A small model is saved this often, a large one as seldom as the request allows. */
const OFTEN_SECONDS = 1;
/** Saving takes at most one part in so many of the time, within those bounds. */
const SAVING_SHARE = 20;
/** A full disk is asked again after so long. */
const ROOM_MS = 5000;

export async function* train(request: LoopRequest): AsyncGenerator<LoopEvent, LoopSummary> {
  const course = new Course(request);
  const turns = new Turns();
  try {
    return yield* steps(request, course, turns);
  } catch (error) {
    if (error instanceof AppError && error.code === 'engine/device-lost') {
      const { reason } = error.data;
      const said = typeof reason === 'string' ? reason : error.message;
      yield { type: 'lost', reason: said, step: course.counted };
    }
    const divergence = divergenceOf(error);
    const left = divergence && (await course.endDiverged(divergence));
    if (left) {
      if (course.hasNews) yield course.points();
      return left;
    }
    throw error;
  } finally {
    turns.close();
    course.close();
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
  const saving = new Saving(request, course);

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

    if (saving.due) yield* saving.save();
    if (control.pauseWanted) {
      yield* saving.save();
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

/** When a checkpoint is due, and what happens where it finds no room. */
class Saving {
  readonly #request: LoopRequest;
  readonly #course: Course;
  #saved = performance.now();
  #tookMs = 0;

  constructor(request: LoopRequest, course: Course) {
    this.#request = request;
    this.#course = course;
  }

  get due(): boolean {
    const { checkpoint, control } = this.#request;
    if (checkpoint === null) return false;
    if (control.takeCheckpointWish()) return true;
    const often = Math.max(OFTEN_SECONDS * 1000, this.#tookMs * SAVING_SHARE);
    return performance.now() - this.#saved > Math.min(checkpoint.everySeconds * 1000, often);
  }

  /** Holds still while the disk is full: the run loses nothing by waiting, and everything by ending. */
  async *save(): AsyncGenerator<LoopEvent, void> {
    const course = this.#course;
    const { control } = this.#request;
    let full = false;
    for (;;) {
      const began = performance.now();
      try {
        const saved = await course.save();
        this.#saved = performance.now();
        this.#tookMs = this.#saved - began;
        yield saved;
        break;
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'store/quota') throw error;
        if (!full) {
          full = true;
          yield course.points();
          yield { type: 'full', step: course.counted, reason: error.message };
          yield { type: 'state', state: 'paused' };
          course.stopClock();
        }
        await control.waiting(ROOM_MS);
        if (control.stopWanted) break;
      }
    }
    if (!full) return;
    course.startClock();
    if (control.stopWanted) return;
    yield { type: 'room', step: course.counted };
    if (!control.pauseWanted) yield { type: 'state', state: 'running' };
  }
}
