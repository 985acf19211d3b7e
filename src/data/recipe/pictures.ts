/**
 * The picture part of a recipe as plain loops: the same figures as its graph (compile.ts) gives, which a test holds it
 * to. Training asks for thousands of pictures an epoch, and the interpreter would take longer than the model.
 */
import { AppError } from '../../core/errors';
import { linearTaps, resizePlane } from '../../core/bilinear';
import type { FittedRecipe, ImagePreparation } from '../../protocol/entities';

export type ImageInput = Extract<FittedRecipe['input'], { type: 'images' }>;

/** Largest side that a body may ask for. */
const LARGEST_SIDE = 1024;

/** Shape of one picture's features: [channels, height, width]. */
export function pictureDims(input: ImageInput): [number, number, number] {
  const { height, width } = input.resize ?? input;
  return [input.channelsTo ?? input.channels, height, width];
}

/** The preparation for pictures of this shape; says what does not fit. */
export function checkPreparation(
  stored: Pick<ImageInput, 'channels' | 'height' | 'width'>,
  preparation: ImagePreparation,
): ImagePreparation {
  const { resize, channelsTo, mean, std } = preparation;
  const wrong = (what: string): AppError =>
    new AppError('data/preparation', `These pictures cannot be prepared so: ${what}.`, {
      ...preparation,
    });
  const side = (value: number): boolean =>
    Number.isInteger(value) && value >= 1 && value <= LARGEST_SIDE;
  if (resize && !(side(resize.height) && side(resize.width))) {
    throw wrong(`they can be made 1 to ${LARGEST_SIDE} pixels high and wide`);
  }
  if (channelsTo !== undefined && stored.channels !== 1 && stored.channels !== channelsTo) {
    throw wrong(`${stored.channels} channels cannot become ${channelsTo}`);
  }
  const channels = channelsTo ?? stored.channels;
  for (const figures of [mean, std]) {
    if (figures && (figures.length !== channels || !figures.every(Number.isFinite))) {
      throw wrong(`the model wants ${figures.length} channels and the pictures have ${channels}`);
    }
  }
  if (std?.some((value) => value <= 0)) throw wrong('a deviation must be above 0');
  const resizes =
    resize !== undefined && (resize.height !== stored.height || resize.width !== stored.width);
  return {
    ...(resizes && { resize }),
    ...(channelsTo !== undefined && channelsTo !== stored.channels && { channelsTo }),
    ...(mean && { mean }),
    ...(std && { std }),
  };
}

/** Features of `count` pictures (uint8 [count, C, H, W]) into `out`. */
export function preparePictures(
  input: ImageInput,
  pixels: Uint8Array,
  count: number,
  out: Float32Array,
): void {
  const [channels, height, width] = pictureDims(input);
  const from = input.height * input.width;
  const to = height * width;
  const rows = input.resize ? linearTaps(input.height, height) : null;
  const columns = linearTaps(input.width, width);
  const levels = Array.from({ length: channels }, (_, channel) => levelTable(input, channel));
  for (let picture = 0; picture < count; picture++) {
    for (let channel = 0; channel < channels; channel++) {
      const source = (picture * input.channels + Math.min(channel, input.channels - 1)) * from;
      const plane = pixels.subarray(source, source + from);
      const start = (picture * channels + channel) * to;
      const table = levels[channel];
      if (rows === null) {
        for (let at = 0; at < to; at++) out[start + at] = table?.[plane[at] ?? 0] ?? 0;
        continue;
      }
      resizePlane(plane, input.width, rows, columns, out, start);
      const mean = input.mean?.[channel] ?? 0;
      const std = input.std?.[channel] ?? 1;
      for (let at = start; at < start + to; at++) out[at] = ((out[at] ?? 0) / 255 - mean) / std;
    }
  }
}

/** What each of the 256 levels becomes. */
function levelTable(input: ImageInput, channel: number): Float64Array {
  const mean = input.mean?.[channel] ?? 0;
  const std = input.std?.[channel] ?? 1;
  return Float64Array.from({ length: 256 }, (_, level) => (level / 255 - mean) / std);
}
