/** State of each stage in the rail, and the few words beside it, out of what the project holds. */
import type { Evaluation, ModelVersion, Project, Run, TrainingConfig } from '../protocol/entities';
import type { Stage } from './router.svelte';

export type StageState = 'empty' | 'done' | 'stale' | 'running' | 'failed';

export interface StageStatus {
  readonly state: StageState;
  /** What changed upstream, for a stale stage. */
  readonly changed?: readonly ('data' | 'goal' | 'preparation' | 'split' | 'model' | 'training')[];
  /** Share done of what is running, 0 to 1. */
  readonly fraction?: number;
}

export interface ProjectContents {
  readonly project: Project;
  readonly runs: readonly Run[];
  readonly models: readonly ModelVersion[];
  readonly evaluations: readonly Evaluation[];
}

const EMPTY: StageStatus = { state: 'empty' };
const DONE: StageStatus = { state: 'done' };

export function stageStatuses(contents: ProjectContents): Readonly<Record<Stage, StageStatus>> {
  const { project } = contents;
  const runs = contents.runs.filter((run) => run.role === 'model');
  const models = contents.models.filter((model) => !ofBaseline(model, contents.runs));
  const evaluations = contents.evaluations.filter(({ modelVersionId }) =>
    models.some((model) => model.id === modelVersionId),
  );
  const run = runs.reduce<Run | null>((a, b) => (a === null || b.number > a.number ? b : a), null);
  const live = models.filter((model) => model.trashedAt === null);
  const made = live.find((model) => model.runId === run?.id && model.parentId === null);
  const judged = evaluations.some((evaluation) => evaluation.modelVersionId === made?.id);
  const train = trainStatus(project, run);
  return {
    data: project.datasetId === null ? EMPTY : DONE,
    goal: project.target === null ? EMPTY : DONE,
    model: project.blueprint === null ? EMPTY : DONE,
    train,
    evaluate: following(train, judged, evaluations.length > 0),
    compress: following(
      train,
      live.some((model) => model.parentId !== null && model.parentId === made?.id),
      live.some((model) => model.parentId !== null),
    ),
    versions: live.length > 0 ? DONE : EMPTY,
    try: live.length > 0 ? DONE : EMPTY,
  };
}

/** Baselines come by themselves, before the person has made anything. */
function ofBaseline(model: ModelVersion, runs: readonly Run[]): boolean {
  return runs.some((run) => run.id === model.runId && run.role === 'baseline');
}

function trainStatus(project: Project, run: Run | null): StageStatus {
  if (run === null) return EMPTY;
  if (run.status === 'failed') return { state: 'failed' };
  if (run.status === 'preparing' || run.status === 'running' || run.status === 'paused') {
    return { state: 'running', fraction: run.stepsTotal > 0 ? run.stepsDone / run.stepsTotal : 0 };
  }
  const changed = changesSince(project, run);
  return changed.length > 0 ? { state: 'stale', changed } : DONE;
}

/** A stage after Train: out of date when what it judged is no longer the newest, or the newest is itself stale. */
function following(train: StageStatus, current: boolean, any: boolean): StageStatus {
  if (!any) return EMPTY;
  if (!current) return { state: 'stale', changed: ['model'] };
  return train.state === 'stale' ? train : DONE;
}

/** What of the project differs from what the run was trained with. */
export function changesSince(project: Project, run: Run): NonNullable<StageStatus['changed']> {
  const { config } = run;
  const differs = (a: unknown, b: unknown): boolean => JSON.stringify(a) !== JSON.stringify(b);
  const changed: ('data' | 'goal' | 'preparation' | 'split' | 'model' | 'training')[] = [];
  if (project.datasetId !== config.datasetId) changed.push('data');
  if (project.target !== config.target || project.task !== config.task) changed.push('goal');
  // What a pretrained body wants done to pictures belongs to the model.
  const own = { image: project.recipe.image };
  if (differs({ ...project.recipe, ...own }, { ...config.recipe, ...own }))
    changed.push('preparation');
  if (differs(project.split, config.split)) changed.push('split');
  if (project.blueprint && differs(project.blueprint, config.blueprint)) changed.push('model');
  const { training } = project;
  if (training && differs(training, asWanted(config.training, training))) changed.push('training');
  return changed;
}

/** A starter's first run is cut to a time limit; that alone is no change of the settings. */
function asWanted(ran: TrainingConfig, wanted: TrainingConfig): TrainingConfig {
  if (ran.maxSeconds === null || wanted.maxSeconds !== null) return ran;
  return { ...ran, epochs: Math.max(ran.epochs, wanted.epochs), maxSeconds: null };
}
