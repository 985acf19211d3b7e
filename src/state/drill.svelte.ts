/**
 * The drill: a real run on the penguins is harmed on purpose, recovers as any run would, and at its end its model is
 * compared with that of the same run left in peace. Nothing here is played: the device is destroyed, the worker ended,
 * the loop endless. A run that trains in this tab anyway can be harmed instead; it is not run a second time.
 */
import type {
  ExecutorName,
  MetricPoint,
  ModelVersion,
  Project,
  RunIncident,
} from '../protocol/entities';
import type { RunEvent } from '../services/runs';
import type { App } from './app.svelte';
import { LiveRun } from './live-run.svelte';
import type { Studio } from './studio';

export type Harm = 'lose-device' | 'kill' | 'hang';

/** What the log tells, in the order of what happened. */
export type DrillEntry = { readonly at: number } & (
  | { readonly kind: 'started'; readonly label: string }
  | { readonly kind: 'did'; readonly harm: Harm; readonly step: number }
  | { readonly kind: 'no-device' }
  | { readonly kind: 'incident'; readonly incident: RunIncident }
  /** Training again: after so many seconds, so many steps were computed a second time, and counted so often twice. */
  | {
      readonly kind: 'recovered';
      readonly from: number;
      readonly again: number;
      readonly twice: number;
      readonly seconds: number;
    }
  | { readonly kind: 'stopped'; readonly step: number; readonly sha256: string }
  | { readonly kind: 'comparing'; readonly epochs: number }
  | {
      readonly kind: 'compared';
      readonly equal: boolean;
      /** Whether all of it was computed by the same arithmetic, so that equality is promised. */
      readonly exact: boolean;
      readonly sha256: string;
    }
);

/** Plain and constant, so that the first n epochs are the same however many follow. */
const EPOCHS = 50_000;
const LEARNING_RATE = 0.002;

export class Drill {
  readonly #app: App;
  #phase = $state<'idle' | 'preparing' | 'training' | 'comparing' | 'done'>('idle');
  #log = $state.raw<readonly DrillEntry[]>([]);
  #live = $state.raw<LiveRun | null>(null);
  #error = $state.raw<unknown>(null);
  #saved = $state(0);
  #began = 0;
  #project: Project | null = null;
  #finish: () => void = () => undefined;
  /** When it was interrupted, and at which step. */
  #hurt: { readonly at: number; readonly step: number } | null = null;
  #exact = true;
  executor = $state<Exclude<ExecutorName, 'reference'>>('gpu' in navigator ? 'webgpu' : 'wasm');

  constructor(app: App) {
    this.#app = app;
  }

  get phase(): 'idle' | 'preparing' | 'training' | 'comparing' | 'done' {
    return this.#phase;
  }

  get busy(): boolean {
    return ['preparing', 'training', 'comparing'].includes(this.#phase);
  }

  get log(): readonly DrillEntry[] {
    return this.#log;
  }

  get error(): unknown {
    return this.#error;
  }

  /** The run that can be harmed: the drill's own, or another one of this tab. */
  get live(): LiveRun | null {
    if (this.#live) return this.#phase === 'training' && this.#live.active ? this.#live : null;
    const other = this.#app.liveRun;
    return other?.active ? other : null;
  }

  get step(): number {
    return this.live?.figures?.step ?? 0;
  }

  /** Of the last checkpoint of the drill's own run. */
  get saved(): number {
    return this.#saved;
  }

  /** What runs now: its device in words, and whether there is one to lose. */
  get device(): { readonly label: string; readonly canBeLost: boolean } | null {
    const device = this.live?.run?.device;
    return device ? { label: device.label, canBeLost: device.executor === 'webgpu' } : null;
  }

  get canHarm(): boolean {
    return this.live?.run?.status === 'running' && this.step > 0;
  }

  /** Something to compare needs an epoch that has ended. */
  get canFinish(): boolean {
    return this.#phase === 'training' && this.#epochsDone() > 0 && this.canHarm;
  }

  async start(name: string): Promise<void> {
    if (this.busy) return;
    this.#error = null;
    this.#log = [];
    this.#saved = 0;
    this.#exact = true;
    this.#hurt = null;
    this.#phase = 'preparing';
    this.#began = performance.now();
    try {
      const studio = await this.#app.studio();
      this.#project = await this.#prepare(studio, name);
      const drilled = await this.#train(studio, this.#project, name);
      await this.#compare(studio, this.#project, drilled, name);
    } catch (error) {
      this.#error = error;
    } finally {
      this.#phase = this.#error ? 'idle' : 'done';
      this.#live = null;
    }
  }

  async harm(harm: Harm): Promise<void> {
    const { live } = this;
    if (!live) return;
    if (this.#log.length === 0) this.#began = performance.now();
    this.#say({ kind: 'did', harm, step: this.step });
    try {
      if (!(await live.drill(harm))) this.#say({ kind: 'no-device' });
    } catch (error) {
      this.#error = error;
    }
  }

  /** Ends the drilled run, so that it is compared. */
  finish(): void {
    this.#finish();
  }

  async #prepare(studio: Studio, name: string): Promise<Project> {
    const { dataset } = await studio.importEmbedded('drill', 'penguins', () => undefined);
    const project = await studio.createProject({ name, datasetId: dataset.id, temporary: true });
    const { training } = project;
    if (!training) return project;
    return studio.store.editProject(project.id, project.revision, {
      executor: this.executor,
      training: {
        ...training,
        epochs: EPOCHS,
        learningRate: LEARNING_RATE,
        schedule: { kind: 'constant', warmup: 0 },
        patience: 0,
        maxSeconds: null,
      },
    });
  }

  async #train(studio: Studio, project: Project, name: string): Promise<ModelVersion> {
    const live = new LiveRun(() => undefined);
    this.#live = live;
    const handle = await studio.startRun(project, name, (event) => {
      live.receive(event);
      this.#hear(event);
    });
    live.hold(handle);
    this.#phase = 'training';
    this.#finish = () => void handle.stop();
    const { run, model } = await handle.finished;
    live.settle();
    this.#say({ kind: 'stopped', step: run.stepsDone, sha256: model.file.sha256 });
    return model;
  }

  /** The same epochs once more, without any harm. */
  async #compare(
    studio: Studio,
    project: Project,
    drilled: ModelVersion,
    name: string,
  ): Promise<void> {
    this.#phase = 'comparing';
    const run = await studio.store.getRun(drilled.runId ?? '');
    const epochs = Math.floor((run.stepsDone * EPOCHS) / run.stepsTotal);
    this.#say({ kind: 'comparing', epochs });
    const { training } = project;
    const executor = run.device?.executor ?? project.executor;
    const peaceful = { ...project, executor, training: training && { ...training, epochs } };
    const handle = await studio.startRun(peaceful, `${name} ✓`, () => undefined);
    const { model } = await handle.finished;
    const { sha256 } = model.file;
    const equal = sha256 === drilled.file.sha256;
    this.#say({ kind: 'compared', equal, exact: this.#exact, sha256 });
  }

  #epochsDone(): number {
    const total = this.#live?.stepsTotal ?? 0;
    return total === 0 ? 0 : Math.floor((this.#saved * EPOCHS) / total);
  }

  #hear(event: RunEvent): void {
    switch (event.type) {
      case 'started':
        if (this.#hurt === null) this.#say({ kind: 'started', label: event.label });
        else this.#recovered(event.resumed?.step ?? 0, event.resumed?.curve ?? []);
        break;
      case 'checkpoint':
        this.#saved = event.step;
        break;
      case 'incident': {
        const { incident } = event;
        if (incident.kind === 'resumed') {
          this.#exact &&= incident.exact;
          break;
        }
        if (incident.kind === 'moved') this.#exact = false;
        this.#hurt ??= { at: performance.now(), step: incident.step };
        this.#say({ kind: 'incident', incident });
        break;
      }
      default:
    }
  }

  #recovered(from: number, curve: readonly MetricPoint[]): void {
    const { at, step } = this.#hurt ?? { at: performance.now(), step: from };
    this.#hurt = null;
    this.#say({
      kind: 'recovered',
      from,
      again: Math.max(0, step - from),
      twice: twiceIn(curve),
      seconds: (performance.now() - at) / 1000,
    });
  }

  #say(
    entry: DrillEntry extends infer Each
      ? Each extends DrillEntry
        ? Omit<Each, 'at'>
        : never
      : never,
  ): void {
    const at = (performance.now() - this.#began) / 1000;
    this.#log = [...this.#log, { ...entry, at } as DrillEntry];
  }
}

/** Steps that stand in a curve more than once. */
function twiceIn(curve: readonly MetricPoint[]): number {
  const names = curve.map(({ series, step }) => `${series} ${step}`);
  return names.filter((name, index) => names.indexOf(name) < index).length;
}
