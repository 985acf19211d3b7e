/**
 * A run under way in this tab, as the screen sees it. Events come as fast as steps do; they are gathered and shown
 * once for each animation frame, so that the page's work does not grow with the speed of the device.
 */
import type { Progress, TrainEvent } from '../protocol/api';
import type { MetricPoint, Run, SkippedSteps } from '../protocol/entities';
import type { RunProfile } from '../protocol/profile';
import type { RunEvent, RunHandle } from '../services/runs';

type Hardest = Extract<TrainEvent, { type: 'hardest' }>['examples'];

export type OnProfile = (profile: RunProfile, run: Run) => void;

interface Figures {
  readonly step: number;
  readonly secondsLeft: number;
  readonly examplesPerSecond: number;
  readonly stepMs: number;
  readonly skipped?: SkippedSteps;
}

export class LiveRun {
  #run = $state.raw<Run | null>(null);
  #handle = $state.raw<RunHandle | null>(null);
  #phase = $state.raw<Progress | null>(null);
  #points = $state.raw<readonly MetricPoint[]>([]);
  #figures = $state.raw<Figures | null>(null);
  #hardest = $state.raw<Hardest>([]);
  #stepsTotal = $state(0);
  #error = $state.raw<unknown>(null);
  #canProfile = $state(false);
  #profiling = $state.raw<{ readonly done: number; readonly of: number } | null>(null);
  #queue: RunEvent[] = [];
  #waiting = false;
  readonly #onRecord: (run: Run) => void;
  readonly #onProfile: OnProfile;

  /** `onRecord` hears of every change of the Run's record, `onProfile` of steps that were timed. */
  constructor(onRecord: (run: Run) => void, onProfile: OnProfile = () => undefined) {
    this.#onRecord = onRecord;
    this.#onProfile = onProfile;
  }

  get run(): Run | null {
    return this.#run;
  }

  /** The step under way in words, until points come. */
  get phase(): Progress | null {
    return this.#phase;
  }

  get points(): readonly MetricPoint[] {
    return this.#points;
  }

  get figures(): Figures | null {
    return this.#figures;
  }

  get hardest(): Hardest {
    return this.#hardest;
  }

  get stepsTotal(): number {
    return this.#stepsTotal;
  }

  get error(): unknown {
    return this.#error;
  }

  /** Whether its engine can time kernels; null before it has started. */
  get canProfile(): boolean | null {
    return this.#stepsTotal === 0 ? null : this.#canProfile;
  }

  /** Steps that are being timed, while they are. */
  get profiling(): { readonly done: number; readonly of: number } | null {
    return this.active ? this.#profiling : null;
  }

  get active(): boolean {
    const status = this.#run?.status ?? 'preparing';
    return (
      this.#error === null &&
      (status === 'preparing' || status === 'running' || status === 'paused')
    );
  }

  get fraction(): number {
    return this.#stepsTotal > 0 ? (this.#figures?.step ?? 0) / this.#stepsTotal : 0;
  }

  /** The listener to give to the service. */
  readonly receive = (event: RunEvent): void => {
    this.#queue.push(event);
    if (this.#waiting) return;
    this.#waiting = true;
    // A page in the background gets no frames; the timer keeps its queue short.
    if (document.hidden) setTimeout(() => this.#flush(), 250);
    else requestAnimationFrame(() => this.#flush());
  };

  hold(handle: RunHandle): void {
    this.#handle = handle;
  }

  fail(error: unknown): void {
    this.#flush();
    this.#error = error;
  }

  /** Shows what has come in and not been drawn yet. */
  settle(): void {
    this.#flush();
  }

  async pause(): Promise<void> {
    await this.#handle?.pause();
  }

  async resume(): Promise<void> {
    await this.#handle?.resume();
  }

  async stop(): Promise<void> {
    await this.#handle?.stop();
  }

  async profile(steps: number): Promise<void> {
    if (!this.#handle) return;
    this.#profiling = { done: 0, of: steps };
    await this.#handle.profile(steps);
  }

  #flush(): void {
    this.#waiting = false;
    const events = this.#queue;
    this.#queue = [];
    const fresh: MetricPoint[] = [];
    for (const event of events) this.#take(event, fresh);
    if (fresh.length > 0) this.#points = [...this.#points, ...fresh];
  }

  #take(event: RunEvent, fresh: MetricPoint[]): void {
    switch (event.type) {
      case 'phase':
        this.#phase = event.progress;
        break;
      case 'started':
        this.#stepsTotal = event.stepsTotal;
        this.#canProfile = event.canProfile;
        break;
      case 'points':
        fresh.push(...event.points);
        this.#figures = event;
        this.#phase = null;
        break;
      case 'hardest':
        this.#hardest = event.examples;
        break;
      case 'profile':
        this.#profiling = event.profile ? null : { done: event.done, of: event.of };
        if (event.profile && this.#run) this.#onProfile(event.profile, this.#run);
        break;
      case 'run':
        this.#run = event.run;
        this.#onRecord(event.run);
        break;
      case 'checkpoint':
      case 'state':
        break;
    }
  }
}
