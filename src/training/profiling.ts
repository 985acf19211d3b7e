/**
 * Steps of a training that are timed kernel by kernel on their way. They are ordinary steps: what is learned is the
 * same bits with and without.
 */
import type { Feeds, Program, Ticket } from '../engine/executor';
import { mergeSteps } from '../profiling/merge';
import type { TrainEvent } from '../protocol/api';
import type { RunProfile, StepProfile } from '../protocol/profile';

export type ProfileEvent = Extract<TrainEvent, { type: 'profile' }>;

export class Profiling {
  /** Of the model that learns; known once the session is open. */
  modelNodes: readonly string[] = [];
  /** Of a step; the first one stands for all. */
  microBatches = 1;
  #wanted = 0;
  #done: StepProfile[] = [];
  #news = false;

  /** The next `steps` steps; asked again it begins anew. */
  begin(steps: number): void {
    this.#wanted = steps;
    this.#done = [];
  }

  get active(): boolean {
    return this.#done.length < this.#wanted;
  }

  async step(program: Program, feeds: Feeds): Promise<Ticket> {
    const profiled = await program.profile?.(feeds);
    if (!profiled) {
      this.#wanted = 0;
      return program.step(feeds);
    }
    this.#done.push(profiled.profile);
    this.#news = true;
    return profiled.ticket;
  }

  /** What to tell since the last time; null for nothing. `ended`: no more steps will come. */
  news(ended = false): ProfileEvent | null {
    const unfinished = ended && this.active && this.#done.length > 0;
    if (!this.#news && !unfinished) return null;
    this.#news = false;
    const complete = unfinished || !this.active;
    const event: ProfileEvent = {
      type: 'profile',
      done: this.#done.length,
      of: this.#wanted,
      profile: complete ? this.#merged() : null,
    };
    if (complete) this.begin(0);
    return event;
  }

  #merged(): RunProfile {
    const { modelNodes, microBatches } = this;
    return {
      steps: this.#done.length,
      step: mergeSteps(this.#done),
      modelNodes,
      ...(microBatches > 1 && { microBatches }),
    };
  }
}
