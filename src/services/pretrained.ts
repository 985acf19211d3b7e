/**
 * What a project that starts from a pretrained body begins with: the pictures it wants, a strategy's own figures,
 * and how long and fast each trains. Measured on the emoji set; a person changes all of it.
 */
import { AppError } from '../core/errors';
import type { DatasetManifest, TrainingConfig } from '../protocol/entities';
import type {
  FineTuneStrategy,
  PretrainedBlueprint,
  PretrainedSource,
} from '../protocol/fine-tune';
import type { ImagePreparation } from '../protocol/pictures';
import type { PretrainedSummary } from '../protocol/pretrained';

export const STRATEGIES = {
  head: { kind: 'head' },
  'last-blocks': { kind: 'last-blocks', blocks: 3 },
  full: { kind: 'full', depthDecay: 0.8 },
  gradual: { kind: 'gradual', epochsPerBlock: 1, depthDecay: 0.8 },
  lora: { kind: 'lora', rank: 8, alpha: 16, dropout: 0, targets: '*' },
} as const satisfies Record<FineTuneStrategy['kind'], FineTuneStrategy>;

type Pace = Pick<TrainingConfig, 'epochs' | 'learningRate' | 'batchSize' | 'patience'>;

/** A new head alone is quick and forgiving; a body unlearns at the rates that a head wants. */
const PACES: Readonly<Record<FineTuneStrategy['kind'], Pace>> = {
  head: { epochs: 40, learningRate: 0.003, batchSize: 32, patience: 8 },
  'last-blocks': { epochs: 8, learningRate: 0.001, batchSize: 32, patience: 3 },
  full: { epochs: 8, learningRate: 0.001, batchSize: 32, patience: 3 },
  gradual: { epochs: 12, learningRate: 0.001, batchSize: 32, patience: 0 },
  lora: { epochs: 8, learningRate: 0.002, batchSize: 32, patience: 3 },
};

export interface Pixels {
  /** By channel, or one for all: (level - mean) / std of levels from 0 to 1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** What bodies are commonly taught that a pixel is. */
const PIXELS = {
  unit: { mean: [0], std: [1] },
  signed: { mean: [0.5], std: [0.5] },
  /** The means and deviations of ImageNet's pictures, which most bodies were taught with. */
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  levels: { mean: [0], std: [1 / 255] },
} as const satisfies Record<string, Pixels>;

export interface PixelChoice extends Pixels {
  readonly kind: keyof typeof PIXELS | 'own';
}

/** What a pixel can become for a body; among them what is chosen, and what came with its file. */
export function pixelChoices(
  { picture }: Pick<PretrainedSummary, 'picture'>,
  chosen: Partial<Pixels>,
): readonly PixelChoice[] {
  if (picture === null) return [];
  const { channels, pixels } = picture;
  const choices: PixelChoice[] = (['unit', 'signed', 'imagenet', 'levels'] as const)
    .filter((kind) => kind !== 'imagenet' || channels === 3)
    .map((kind) => ({ kind, ...perChannel(PIXELS[kind], channels) }));
  const { mean, std } = chosen;
  for (const other of [pixels, mean && std ? { mean, std } : null]) {
    if (other === null) continue;
    const own = { kind: 'own', ...perChannel(other, channels) } as const;
    if (!choices.some((choice) => samePixels(choice, own))) choices.push(own);
  }
  return choices;
}

export function samePixels(a: Partial<Pixels>, b: Partial<Pixels>): boolean {
  const near = (left: readonly number[] = [], right: readonly number[] = []) =>
    left.length === right.length &&
    left.every((value, index) => Math.abs(value - (right[index] ?? NaN)) < 1e-6);
  return near(a.mean, b.mean) && near(a.std, b.std);
}

function perChannel({ mean, std }: Pixels, channels: number): Pixels {
  const each = (values: readonly number[]) =>
    Array.from({ length: channels }, (_, channel) => values[channel] ?? values[0] ?? 0);
  return { mean: each(mean), std: each(std) };
}

/** Pictures are scaled up to about so much: small ones tell a body little at the size that they have. */
const ENLARGED = 2;

/** The smallest side that the body takes and that is `ENLARGED` times the pictures' own, or its largest. */
export function defaultSide(sizes: readonly number[], own: number): number {
  return sizes.find((side) => side >= own * ENLARGED) ?? sizes.at(-1) ?? own;
}

/** What the body wants done to the pictures of a dataset; null where it takes none. */
export function pictureFor(
  { picture }: Pick<PretrainedSummary, 'picture'>,
  manifest: DatasetManifest,
  side?: number,
): ImagePreparation | null {
  if (picture === null || manifest.type !== 'images') return null;
  const { channels, sizes, pixels } = picture;
  const wanted = side ?? defaultSide(sizes, Math.max(manifest.height, manifest.width));
  return {
    resize: { height: wanted, width: wanted },
    ...(channels === 3 && manifest.channels === 1 ? { channelsTo: 3 as const } : {}),
    ...perChannel(pixels ?? (channels === 3 ? PIXELS.imagenet : PIXELS.unit), channels),
  };
}

/** Why a body cannot take a dataset's rows, in words; null where it can. */
export function misfit(summary: PretrainedSummary, manifest: DatasetManifest): string | null {
  const { picture, cuts, runBlockers } = summary;
  const [blocker] = runBlockers;
  if (blocker) return blocker.reason;
  if (cuts.length === 0) return 'It ends with neither a classifier nor a row of features.';
  if (picture === null) {
    return manifest.type === 'images' ? 'It takes rows of columns, and these are pictures.' : null;
  }
  if (manifest.type !== 'images') return 'It takes pictures, and these are rows of columns.';
  if (picture.channels < manifest.channels)
    return 'It takes grey pictures, and these are coloured.';
  return picture.sizes.length > 0 ? null : 'No size of picture passes through it.';
}

export function pretrainedBlueprint(
  source: PretrainedSource,
  summary: PretrainedSummary,
  manifest: DatasetManifest,
): PretrainedBlueprint {
  const why = misfit(summary, manifest);
  if (why !== null) throw new AppError('pretrained/misfit', `The model does not fit. ${why}`);
  return {
    kind: 'pretrained',
    source,
    cut: null,
    head: { hidden: 0, dropout: 0 },
    strategy: STRATEGIES.head,
    batchNorm: 'frozen',
    picture: pictureFor(summary, manifest),
  };
}

/** A strategy's own pace on top of the training settings there are; pictures are not varied at first. */
export function pacedTraining(
  training: TrainingConfig,
  strategy: FineTuneStrategy['kind'],
): TrainingConfig {
  return { ...training, ...PACES[strategy], augment: null };
}
