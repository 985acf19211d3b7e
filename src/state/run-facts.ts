/** Plain facts of a run for the screens: its settings one by one, what changed since another, and its best figures. */
import { wilson } from '../evaluation/intervals';
import type { Estimate, MetricPoint, Run, RunConfig } from '../protocol/entities';
import type { PretrainedBlueprint } from '../protocol/fine-tune';

/** Settings that can differ between runs, in the order in which they are shown. */
export const SETTING_KEYS = [
  'model',
  'body',
  'cut',
  'strategy',
  'blocks',
  'depthDecay',
  'epochsPerBlock',
  'rank',
  'alpha',
  'loraDropout',
  'targets',
  'hidden',
  'activation',
  'channels',
  'batchNorm',
  'pool',
  'globalPool',
  'dense',
  'dropout',
  'epochs',
  'batchSize',
  'learningRate',
  'optimiser',
  'weightDecay',
  'momentum',
  'schedule',
  'warmup',
  'clipNorm',
  'loss',
  'classWeights',
  'patience',
  'augment',
  'maxSeconds',
  'accumulate',
  'memory',
  'precision',
  'plan',
  'columns',
  'impute',
  'standardise',
  'split',
  'seed',
  'executor',
] as const;
export type SettingKey = (typeof SETTING_KEYS)[number];

/** The raw value of each setting that the configuration has; the screen puts it in words. */
export type Settings = Partial<Record<SettingKey, unknown>>;

function pretrainedParts(parts: Omit<PretrainedBlueprint, 'kind'>): Settings {
  const { source, cut, head, strategy, batchNorm } = parts;
  const { kind, ...settings } = strategy;
  return {
    body: source.kind === 'embedded' ? source.id : source.sha256.slice(0, 12),
    cut,
    strategy: kind,
    ...settings,
    ...('dropout' in settings ? { loraDropout: settings.dropout } : {}),
    dense: head.hidden,
    dropout: head.dropout,
    batchNorm,
  };
}

export function settingsOf(config: RunConfig): Settings {
  const { blueprint, training, recipe, split, seed, executor } = config;
  const { kind: model, ...parts } = blueprint;
  const { optimiser } = training;
  return {
    model,
    ...('source' in parts ? pretrainedParts(parts) : parts),
    epochs: training.epochs,
    batchSize: training.batchSize,
    learningRate: training.learningRate,
    optimiser: optimiser.kind,
    ...('weightDecay' in optimiser ? { weightDecay: optimiser.weightDecay } : {}),
    ...(optimiser.kind === 'sgd' ? { momentum: optimiser.momentum } : {}),
    schedule: training.schedule.kind,
    warmup: training.schedule.warmup,
    clipNorm: training.clipNorm,
    loss: training.loss,
    classWeights: training.classWeights,
    patience: training.patience,
    augment: training.augment,
    maxSeconds: training.maxSeconds,
    accumulate: training.accumulate ?? 1,
    memory: training.memory ?? 'auto',
    precision: training.precision ?? 'float32',
    plan: training.plan ?? 'fixed',
    columns: recipe.use,
    impute: recipe.imputeNumeric,
    standardise: recipe.standardise,
    split: [split.train, split.validation, split.test, split.seed],
    seed,
    executor,
  };
}

/** Settings whose values are not the same in all of these configurations. */
export function differing(configs: readonly RunConfig[]): readonly SettingKey[] {
  const all = configs.map(settingsOf);
  return SETTING_KEYS.filter(
    (key) => new Set(all.map((settings) => JSON.stringify(settings[key]))).size > 1,
  );
}

/** The run before this one, among the models. */
export function previousRun(run: Run, runs: readonly Run[]): Run | null {
  return runs
    .filter((other) => other.role === 'model' && other.number < run.number)
    .reduce<Run | null>((a, b) => (a === null || b.number > a.number ? b : a), null);
}

export interface BestFigure {
  readonly metric: number;
  readonly loss: number;
  readonly epoch: number;
  /** Accuracy with Wilson's interval; null for regression, and while the size of the part is not known. */
  readonly estimate: Estimate | null;
  readonly correct: number | null;
  readonly total: number | null;
}

/** Best by validation loss, as early stopping counts it. `rows` is the size of the checking part, where known. */
export function bestOf(
  run: Run,
  points: readonly MetricPoint[],
  rows: number | null,
): BestFigure | null {
  if (run.best) {
    const { metric, loss, epoch, correct, total } = run.best;
    return figure(run, metric, loss, epoch, total ?? rows, correct);
  }
  const best = points
    .filter((point) => point.series === 'validation' && point.metric !== undefined)
    .reduce<MetricPoint | null>((a, b) => (a === null || b.loss < a.loss ? b : a), null);
  if (best?.metric === undefined) return null;
  return figure(run, best.metric, best.loss, best.epoch, rows);
}

function figure(
  run: Run,
  metric: number,
  loss: number,
  epoch: number,
  total: number | null,
  counted?: number,
): BestFigure {
  if (run.config.task === 'regression' || total === null) {
    return { metric, loss, epoch, estimate: null, correct: null, total };
  }
  const correct = counted ?? Math.round(metric * total);
  return { metric, loss, epoch, estimate: wilson(correct, total), correct, total };
}

/** The baseline by rule (commonest class or mean) takes no steps; the linear one does. */
export function isRuleBaseline(run: Run): boolean {
  return run.role === 'baseline' && run.status === 'done' && run.stepsDone === 0;
}

/** Whether a is better than b by the metric that runs are compared by. */
export function better(task: RunConfig['task'], a: number, b: number): boolean {
  return task === 'regression' ? a < b : a > b;
}
