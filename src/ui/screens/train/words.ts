/** Settings and figures of runs in words. */
import type {
  BlueprintConfig,
  Run,
  RunConfig,
  RunIncident,
  TaskType,
  Project,
} from '../../../protocol/entities';
import { settingsOf, type SettingKey } from '../../../state/run-facts';
import { bytes, decimal, integer, percent, seconds } from '../../messages/format';
import { m } from '../../messages/m';

const NAMES: Readonly<Record<string, string>> = m.train.settings.value;

export function modelWords(blueprint: BlueprintConfig): string {
  const kind = m.train.settings.value[blueprint.kind];
  if (blueprint.kind === 'mlp') return `${kind} ${blueprint.hidden.join('-')}`;
  if (blueprint.kind === 'pretrained') {
    return `${kind}, ${m.train.settings.value[blueprint.strategy.kind]}`;
  }
  return blueprint.kind === 'cnn' ? `${kind} ${blueprint.channels.join('-')}` : kind;
}

/** One line under the title: what was trained, and how. */
export function runLine({ blueprint, training, seed }: RunConfig): string {
  const { schedule, learningRate, epochs, optimiser } = training;
  const rate = `${decimal(learningRate)}${schedule.kind === 'cosine' ? ` ${m.train.cosine}` : ''}`;
  return m.train.subtitle(modelWords(blueprint), epochs, NAMES[optimiser.kind] ?? '', rate, seed);
}

/** The value of one setting; an empty text where the configuration has none. */
export function settingWords(config: RunConfig, key: SettingKey): string {
  const value = settingsOf(config)[key];
  if (value === undefined) return '';
  const { augment, patience, maxSeconds, clipNorm } = config.training;
  switch (key) {
    case 'model':
      return modelWords(config.blueprint);
    case 'augment':
      return augment
        ? m.train.settings.augment(
            decimal(augment.shift),
            decimal(augment.rotate),
            percent(augment.zoom, 0),
          )
        : m.common.none;
    case 'patience':
      return m.train.settings.patience(patience);
    case 'maxSeconds':
      return maxSeconds === null ? m.train.settings.noLimit : seconds(maxSeconds);
    case 'clipNorm':
      return clipNorm === 0 ? m.common.none : decimal(clipNorm);
    case 'warmup':
      return percent(config.training.schedule.warmup, 0);
    case 'accumulate': {
      const { accumulate = 1, batchSize } = config.training;
      return m.train.settings.parts(accumulate, integer(batchSize / accumulate));
    }
    case 'memory':
      return memoryWords(config.training.memory ?? 'auto');
    case 'columns': {
      const n = Object.keys(config.recipe.use).length;
      return n === 0 ? m.train.settings.automatic : m.train.settings.chosen(n);
    }
    case 'split': {
      const { train, validation, test, seed } = config.split;
      const shares = [train, validation, test].map((share) => integer(share * 100)).join('/');
      return `${shares}, ${seed}`;
    }
    default:
      return plain(value);
  }
}

/** What befell a run, in words; nothing where it only says that what was told before is over. */
export function incidentWords(incident: RunIncident): readonly string[] {
  const words = m.runTrouble.incident;
  const step = integer(incident.step);
  switch (incident.kind) {
    case 'device-lost':
      return [words.deviceLost(step)];
    case 'worker-died':
      return [words.workerDied(step)];
    case 'resumed': {
      const { exact, before, planId } = incident;
      return [exact ? words.resumed(step) : words.other(step, before.planId, planId)];
    }
    case 'moved':
      return [words.moved];
    case 'divided':
      return [words.divided(step, integer(incident.rows))];
    case 'disk-full':
      return [words.diskFull(step)];
    case 'checkpoint-missed':
      return [words.checkpointMissed(step, incident.reason)];
    case 'room-again':
      return [];
  }
}

export function memoryWords(memory: NonNullable<RunConfig['training']['memory']>): string {
  if (typeof memory === 'number') return m.train.settings.keptUpTo(bytes(memory));
  return memory === 'full' ? m.train.settings.keptFull : m.train.settings.keptAuto;
}

function plain(value: unknown): string {
  if (typeof value === 'number') return decimal(value);
  if (typeof value === 'boolean') return value ? m.common.on : m.common.off;
  if (Array.isArray(value)) return value.join('-');
  return typeof value === 'string' ? (NAMES[value] ?? value) : '';
}

/** The metric of a task as runs carry it: accuracy as a percentage, RMSE in the target's units. */
export function metricWords(task: TaskType, value: number): string {
  return task === 'regression' ? decimal(value) : percent(value);
}

/** What a starter's rows are: penguins, digits, or rows. */
export function thingsOf(starter: Project['starter']): string {
  return m.train.result.things[starter ?? 'rows'];
}

export function toneOf(status: Run['status']): 'good' | 'warn' | 'bad' | 'quiet' {
  if (status === 'failed') return 'bad';
  if (status === 'interrupted') return 'warn';
  return status === 'done' ? 'good' : 'quiet';
}
