/** What the Train screen shows: which run, its curve and best figures, and how the person left the view. */
import type { Id, MetricPoint, ModelVersion, Run } from '../protocol/entities';
import type { LiveRun } from './live-run.svelte';
import type { OpenProject } from './project.svelte';
import { bestOf, isRuleBaseline, type BestFigure } from './run-facts';
import { sameQuestion } from './training.svelte';

const SETTING = 'train-view';

export const RUN_COLUMNS = ['loss', 'size', 'time', 'speed', 'device', 'epochs'] as const;
export type RunColumn = (typeof RUN_COLUMNS)[number];

interface Preferences {
  readonly log: boolean;
  readonly smoothing: number;
  readonly onlyDiffers: boolean;
  readonly columns: readonly RunColumn[];
}

const AT_FIRST: Preferences = {
  log: true,
  smoothing: 0.6,
  onlyDiffers: false,
  columns: ['size', 'time'],
};

export class TrainView {
  readonly #project: OpenProject;
  #preferences = $state.raw<Preferences>(AT_FIRST);
  #compare = $state<Id | null>(null);
  #kept = $state.raw<Readonly<Record<Id, readonly MetricPoint[]>>>({});

  constructor(project: OpenProject) {
    this.#project = project;
  }

  get preferences(): Preferences {
    return this.#preferences;
  }

  /** The run on screen: the one chosen, else the newest. */
  get run(): Run | null {
    return this.#project.runs.selected;
  }

  /** Live figures, when the run on screen trains (or has just trained) in this tab. */
  get live(): LiveRun | null {
    const { live } = this.#project.runs;
    return live?.run && live.run.id === this.run?.id ? live : null;
  }

  get points(): readonly MetricPoint[] {
    const { run, live } = this;
    if (!run) return [];
    return this.pointsOf(run, live);
  }

  pointsOf(run: Run, live: LiveRun | null = null): readonly MetricPoint[] {
    if (run.curve.length > 0) return run.curve;
    const before = this.#kept[run.id] ?? [];
    const first = live?.points[0];
    if (!live || !first) return before;
    // A run that was resumed here begins in the middle; what is in its checkpoint comes before that.
    return [...before.filter(({ step }) => step < first.step), ...live.points];
  }

  get best(): BestFigure | null {
    return this.run ? bestOf(this.run, this.points, this.checkingRows(this.run)) : null;
  }

  /** Size of the checking part, which the baselines of the same question have counted. */
  checkingRows(run: Run): number | null {
    if (run.best?.total !== undefined) return run.best.total;
    return this.baselinesOf(run)[0]?.best?.total ?? null;
  }

  /** Finished baselines of the run's own question. */
  baselinesOf(run: Run): readonly Run[] {
    return this.#project.runs.baselines.filter(
      (other) => other.status === 'done' && sameQuestion(other.config, run.config),
    );
  }

  /** Always the commonest class, or the mean. */
  ruleBaseline(run: Run): Run | null {
    return this.baselinesOf(run).find(isRuleBaseline) ?? null;
  }

  modelOf(run: Run): ModelVersion | null {
    return (
      this.#project.records.models.find(
        (model) => model.runId === run.id && model.parentId === null,
      ) ?? null
    );
  }

  /** Names of the classes, in the order of the model's outputs. */
  get classes(): readonly string[] {
    const { run } = this;
    if (!run) return [];
    const runs = [run, ...this.baselinesOf(run)];
    for (const other of runs) {
      const model = this.modelOf(other);
      if (model) return model.signature.classes;
    }
    return [];
  }

  /** The run drawn beside the one on screen. */
  get compared(): Run | null {
    const id = this.#compare;
    if (id === null || id === this.run?.id) return null;
    return this.#project.runs.list.find((run) => run.id === id) ?? null;
  }

  compare(id: Id | null): void {
    this.#compare = id;
  }

  /** Takes up the view as it was left. */
  async recall(): Promise<void> {
    const kept = await this.#project.studio.store.getSetting(SETTING);
    if (isPreferences(kept)) this.#preferences = kept;
  }

  async prefer(change: Partial<Preferences>): Promise<void> {
    this.#preferences = { ...this.#preferences, ...change };
    await this.#project.studio.store.setSetting(SETTING, this.#preferences);
  }

  /** A run that has not ended keeps its curve only in its checkpoint. */
  async recallCurve(run: Run): Promise<void> {
    if (run.curve.length > 0 || run.id in this.#kept) return;
    const kept = await this.#project.studio.store.getCheckpoint(run.id);
    if (kept) this.#kept = { ...this.#kept, [run.id]: kept.checkpoint.loop.curve };
  }
}

function isPreferences(value: unknown): value is Preferences {
  return (
    typeof value === 'object' &&
    value !== null &&
    'log' in value &&
    'smoothing' in value &&
    'onlyDiffers' in value &&
    'columns' in value &&
    Array.isArray(value.columns)
  );
}
