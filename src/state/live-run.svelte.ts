/**
 * A run under way in this tab, as the screen sees it. Events come as fast as steps do; they are gathered and shown
 * once for each animation frame, so that the page's work does not grow with the speed of the device.
 */
import type { Progress, TrainEvent } from '../protocol/api';
import type { MetricPoint, Run, RunIncident, SkippedSteps } from '../protocol/entities';
import type { RunProfile } from '../protocol/profile';
import type { RescueFile, RunEvent, RunHandle } from '../services/runs';

type Hardest = Extract<TrainEvent, { type: 'hardest' }>['examples'];

type Started = Extract<TrainEvent, { type: 'started' }>;

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
  #full = $state<string | null>(null);
  #profiling = $state.raw<{ readonly done: number; readonly of: number } | null>(null);
  #started: Started | null = null;
  #queue: RunEvent[] = [];
  #waiting = false;
  readonly #onRecord: (run: Run) => void;
  readonly #onProfile: OnProfile;

  readonly #onIncident: (incident: RunIncident) => void;

  /** `onRecord` hears of every change of the Run's record, `onProfile` of steps that were timed. */
  constructor(
    onRecord: (run: Run) => void,
    onProfile: OnProfile = () => undefined,
    onIncident: (incident: RunIncident) => void = () => undefined,
  ) {
    this.#onRecord = onRecord;
    this.#onProfile = onProfile;
    this.#onIncident = onIncident;
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

  /** Why it holds still: the disk is full, in the store's words. */
  get full(): string | null {
    return this.active ? this.#full : null;
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

  /** What was shown so far as the fewest events that show the same, for a tab that looks on. */
  get replay(): readonly RunEvent[] {
    if (!this.active || !this.#run) return [];
    const events: RunEvent[] = [{ type: 'run', run: this.#run }];
    if (this.#started) events.push(anew(this.#started));
    if (this.#figures) events.push({ ...this.#figures, type: 'points', points: this.#points });
    if (this.#phase) events.push({ type: 'phase', progress: this.#phase });
    return events;
  }

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

  /** What found no room, as a file to keep elsewhere. */
  async rescue(): Promise<RescueFile | null> {
    return (await this.#handle?.rescue()) ?? null;
  }

  async drill(harm: Parameters<RunHandle['drill']>[0]): Promise<boolean> {
    return (await this.#handle?.drill(harm)) ?? false;
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
    let points = this.#points;
    for (const event of events) {
      // From a checkpoint on, steps are computed again: their points stand in the curve once.
      if (event.type === 'started') points = event.resumed?.curve ?? [];
      if (event.type === 'points' && event.points.length > 0) points = [...points, ...event.points];
      this.#take(event);
    }
    this.#points = points;
  }

  #take(event: RunEvent): void {
    switch (event.type) {
      case 'phase':
        this.#phase = event.progress;
        break;
      case 'started':
        this.#started = event;
        this.#stepsTotal = event.stepsTotal;
        this.#canProfile = event.canProfile;
        break;
      case 'points':
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
      case 'full':
        this.#full = event.reason;
        break;
      case 'room':
        this.#full = null;
        break;
      case 'incident':
        this.#onIncident(event.incident);
        break;
      case 'checkpoint':
      case 'state':
      case 'lost':
        break;
    }
  }
}

/** Without the curve until the checkpoint, which is among the points. */
function anew({ resumed: _, ...started }: Started): Started {
  return started;
}
