/**
 * Changes pictures a little, so that a model meets each one slightly different: shifted, rotated, zoomed, mirrored,
 * lighter or darker, with more or less contrast. The change depends only on (seed, dataset row, epoch). Pixels are
 * read by bilinear interpolation; outside a grey picture is 0 (ink on nothing), outside a coloured one its edge goes on.
 */
import { philoxInto, purposeHash, seedKey } from '../../core/philox';
import type { AugmentConfig } from '../../protocol/entities';

export interface PictureSize {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** Uniform numbers in [-1, 1): across, down, turn, zoom, then (0 where absent) mirror, brightness, contrast. */
export type Draws = readonly [number, number, number, number, number?, number?, number?];

const PURPOSE = purposeHash('augment');
const COLOUR_PURPOSE = purposeHash('augment-colour');

/** Writes the changed `source` (uint8 CHW) to `out`. */
export function augment(
  source: Uint8Array,
  out: Uint8Array,
  { channels, height, width }: PictureSize,
  config: AugmentConfig,
  [across, down, turn, zooming, mirror = 1, light = 0, contrasting = 0]: Draws,
): void {
  const shiftX = config.shift * across;
  const shiftY = config.shift * down;
  const angle = (config.rotate * turn * Math.PI) / 180;
  const zoom = 1 + config.zoom * zooming;
  const mirrored = config.flip === true && mirror < 0 ? -1 : 1;
  // The inverse map: where in the source does a pixel of the result come from?
  const cos = Math.cos(angle) / zoom;
  const sin = Math.sin(angle) / zoom;
  const centreX = (width - 1) / 2;
  const centreY = (height - 1) / 2;
  const plane = height * width;
  const gain = 1 + (config.contrast ?? 0) * contrasting;
  const lift = 127.5 * (1 - gain) + 255 * (config.brightness ?? 0) * light;
  const plain = gain === 1 && lift === 0;
  const edged = channels > 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const dx = mirrored * (x - centreX) - shiftX;
      const dy = y - centreY - shiftY;
      let fromX = centreX + cos * dx + sin * dy;
      let fromY = centreY - sin * dx + cos * dy;
      if (edged) {
        fromX = Math.min(width - 1, Math.max(0, fromX));
        fromY = Math.min(height - 1, Math.max(0, fromY));
      }
      const left = Math.floor(fromX);
      const top = Math.floor(fromY);
      const right = fromX - left;
      const low = fromY - top;
      const inLeft = left >= 0 && left < width;
      const inRight = left + 1 >= 0 && left + 1 < width;
      const inTop = top >= 0 && top < height;
      const inLow = top + 1 >= 0 && top + 1 < height;
      for (let channel = 0; channel < channels; channel++) {
        const at = channel * plane + top * width + left;
        const a = inTop && inLeft ? (source[at] ?? 0) : 0;
        const b = inTop && inRight ? (source[at + 1] ?? 0) : 0;
        const c = inLow && inLeft ? (source[at + width] ?? 0) : 0;
        const d = inLow && inRight ? (source[at + width + 1] ?? 0) : 0;
        const value =
          (1 - low) * ((1 - right) * a + right * b) + low * ((1 - right) * c + right * d);
        const level = plain ? value : Math.min(255, Math.max(0, value * gain + lift));
        out[channel * plane + y * width + x] = Math.round(level);
      }
    }
  }
}

/** The draws of one row in one epoch. */
export function augmentDraws(
  seed: number,
  row: number,
  epoch: number,
): [number, number, number, number, number, number, number] {
  const words = new Uint32Array(4);
  philoxInto(words, 0, row, epoch, PURPOSE, ...seedKey(seed));
  const [a = 0, b = 0, c = 0, d = 0] = words;
  philoxInto(words, 0, row, epoch, COLOUR_PURPOSE, ...seedKey(seed));
  const [e = 0, f = 0, g = 0] = words;
  return [unit(a), unit(b), unit(c), unit(d), unit(e), unit(f), unit(g)];
}

function unit(word: number): number {
  return word / 2 ** 31 - 1;
}
