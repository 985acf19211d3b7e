/**
 * Shifts, rotates and zooms pictures a little, so that a model meets each one slightly changed. The change depends
 * only on (seed, dataset row, epoch). Pixels are read by bilinear interpolation; outside the picture is 0.
 */
import { philoxInto, purposeHash, seedKey } from '../../core/philox';
import type { AugmentConfig } from '../../protocol/entities';

export interface PictureSize {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

const PURPOSE = purposeHash('augment');

/** Writes the changed `source` (uint8 CHW) to `out`. `draw` gives uniform numbers in [-1, 1). */
export function augment(
  source: Uint8Array,
  out: Uint8Array,
  { channels, height, width }: PictureSize,
  config: AugmentConfig,
  draw: readonly [number, number, number, number],
): void {
  const shiftX = config.shift * draw[0];
  const shiftY = config.shift * draw[1];
  const angle = (config.rotate * draw[2] * Math.PI) / 180;
  const zoom = 1 + config.zoom * draw[3];
  // The inverse map: where in the source does a pixel of the result come from?
  const cos = Math.cos(angle) / zoom;
  const sin = Math.sin(angle) / zoom;
  const centreX = (width - 1) / 2;
  const centreY = (height - 1) / 2;
  const plane = height * width;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const dx = x - centreX - shiftX;
      const dy = y - centreY - shiftY;
      const fromX = centreX + cos * dx + sin * dy;
      const fromY = centreY - sin * dx + cos * dy;
      const left = Math.floor(fromX);
      const top = Math.floor(fromY);
      const right = fromX - left;
      const low = fromY - top;
      for (let channel = 0; channel < channels; channel++) {
        const base = channel * plane;
        const pixel = (row: number, column: number): number =>
          row >= 0 && row < height && column >= 0 && column < width
            ? (source[base + row * width + column] ?? 0)
            : 0;
        const value =
          (1 - low) * ((1 - right) * pixel(top, left) + right * pixel(top, left + 1)) +
          low * ((1 - right) * pixel(top + 1, left) + right * pixel(top + 1, left + 1));
        out[base + y * width + x] = Math.round(value);
      }
    }
  }
}

/** The four draws of one row in one epoch, each in [-1, 1). */
export function augmentDraws(
  seed: number,
  row: number,
  epoch: number,
): [number, number, number, number] {
  const words = new Uint32Array(4);
  philoxInto(words, 0, row, epoch, PURPOSE, ...seedKey(seed));
  const [a = 0, b = 0, c = 0, d = 0] = words;
  return [unit(a), unit(b), unit(c), unit(d)];
}

function unit(word: number): number {
  return word / 2 ** 31 - 1;
}
