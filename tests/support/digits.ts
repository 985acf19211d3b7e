// The digits that the studio brings along, and drawings made of them.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Ink } from '../../src/core/digit-preprocess';
import { ROOT } from '../../tools/lib/setup.mjs';

const SIDE = 28;
const PIXELS = SIDE * SIDE;

export interface LabelledDigit {
  readonly pixels: Uint8Array;
  readonly label: number;
}

/** All of them, in the order of the file: every picture, then every label. */
export async function embeddedDigits(): Promise<readonly LabelledDigit[]> {
  const bytes = new Uint8Array(gunzipSync(await readFile(join(ROOT, 'static/data/digits.bin'))));
  const count = bytes.length / (PIXELS + 1);
  return Array.from({ length: count }, (_, row) => ({
    pixels: bytes.slice(row * PIXELS, (row + 1) * PIXELS),
    label: bytes[count * PIXELS + row] ?? -1,
  }));
}

export interface Placing {
  /** Width and height of the paper. */
  readonly side: number;
  /** Paper pixels behind one MNIST pixel at scale 1. */
  readonly cell: number;
  readonly scale: number;
  /** In MNIST pixels. */
  readonly shift: readonly [x: number, y: number];
}

/** The digit on a large paper, bilinear, scaled about the paper's middle and shifted. */
export function drawnDigit(digit: Uint8Array, { side, cell, scale, shift }: Placing): Ink {
  const data = new Uint8Array(side * side);
  const zoom = cell * scale;
  const at = (x: number, y: number) =>
    x < 0 || y < 0 || x >= SIDE || y >= SIDE ? 0 : (digit[y * SIDE + x] ?? 0);
  const source = (paper: number, moved: number) =>
    (paper + 0.5 - side / 2 - moved * cell) / zoom + (SIDE - 1) / 2;
  for (let y = 0; y < side; y++) {
    const sourceY = source(y, shift[1]);
    const top = Math.floor(sourceY);
    if (top < -1 || top >= SIDE) continue;
    const fy = sourceY - top;
    for (let x = 0; x < side; x++) {
      const sourceX = source(x, shift[0]);
      const left = Math.floor(sourceX);
      const fx = sourceX - left;
      const upper = at(left, top) * (1 - fx) + at(left + 1, top) * fx;
      const lower = at(left, top + 1) * (1 - fx) + at(left + 1, top + 1) * fx;
      data[y * side + x] = Math.round(upper * (1 - fy) + lower * fy);
    }
  }
  return { width: side, height: side, data };
}
