/**
 * Turns a drawing into what the model learned from: LeCun, Cortes and Burges normalised each MNIST digit to fit
 * a 20 x 20 box with its aspect ratio kept, then placed it in 28 x 28 so that its centre of mass is the middle.
 * Pure: ink as numbers in, uint8 ink out. Used by the Try screen and by the exported page.
 */
const BOX_SHARE = 20 / 28;
/** Below this share of the strongest ink a pixel is background. */
const BACKGROUND = 0.05;

export interface Ink {
  readonly width: number;
  readonly height: number;
  /** 0 background to 255 full ink, row-major. */
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** Canvas pixels (RGBA) to ink: the alpha channel where the canvas is transparent, as a drawing layer is. */
export function inkOfAlpha(rgba: Uint8ClampedArray, width: number, height: number): Ink {
  const data = new Uint8Array(width * height);
  for (let pixel = 0; pixel < data.length; pixel++) data[pixel] = rgba[pixel * 4 + 3] ?? 0;
  return { width, height, data };
}

/** A `size` x `size` picture; all zero for an empty drawing. */
export function preprocessDigit(ink: Ink, size = 28): Uint8Array {
  const bounds = boundsOf(ink);
  if (!bounds) return new Uint8Array(size * size);
  // Source pixels behind one target pixel.
  const step =
    Math.max(bounds.right - bounds.left, bounds.bottom - bounds.top) / (size * BOX_SHARE);
  const [middleX, middleY] = centreOfMass(ink);
  const columns = axisWeights(middleX, step, size, ink.width);
  const rows = axisWeights(middleY, step, size, ink.height);
  return resample(ink, columns, rows);
}

function centreOfMass({ width, height, data }: Ink): readonly [number, number] {
  let [mass, x, y] = [0, 0, 0];
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      const value = data[row * width + column] ?? 0;
      mass += value;
      x += value * (column + 0.5);
      y += value * (row + 0.5);
    }
  return [x / mass, y / mass];
}

interface Bounds {
  readonly left: number;
  readonly top: number;
  /** First column and row outside. */
  readonly right: number;
  readonly bottom: number;
}

function boundsOf({ width, height, data }: Ink): Bounds | null {
  let strongest = 0;
  for (const value of data) strongest = Math.max(strongest, value);
  if (strongest === 0) return null;
  const least = strongest * BACKGROUND;
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      if ((data[y * width + x] ?? 0) <= least) continue;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y + 1);
    }
  return { left, top, right, bottom };
}

type Taps = readonly (readonly [index: number, weight: number])[];

/** Mean ink of the source area behind each target pixel. */
function resample(ink: Ink, columns: readonly Taps[], rows: readonly Taps[]): Uint8Array {
  const out = new Uint8Array(rows.length * columns.length);
  for (const [y, rowTaps] of rows.entries())
    for (const [x, columnTaps] of columns.entries()) {
      let sum = 0;
      for (const [row, rowWeight] of rowTaps)
        for (const [column, columnWeight] of columnTaps)
          sum += (ink.data[row * ink.width + column] ?? 0) * rowWeight * columnWeight;
      out[y * columns.length + x] = Math.round(sum);
    }
  return out;
}

/**
 * How much each source pixel gives to each of `count` target pixels, `step` source pixels apart, of which the
 * middle lies on `middle`. A triangle filter as wide as the larger of a source and a target pixel: a large
 * drawing is averaged, a small one interpolated. Weights sum to 1; outside the drawing there is no ink.
 */
function axisWeights(middle: number, step: number, count: number, limit: number): readonly Taps[] {
  const reach = Math.max(1, step);
  return Array.from({ length: count }, (_, index) => {
    // MNIST's middle is the middle of pixel 14, not the corner before it.
    const centre = middle + (index - Math.floor(count / 2)) * step - 0.5;
    const taps: [number, number][] = [];
    let total = 0;
    for (let at = Math.ceil(centre - reach); at <= Math.floor(centre + reach); at++) {
      const weight = 1 - Math.abs(at - centre) / reach;
      total += weight;
      if (weight > 0 && at >= 0 && at < limit) taps.push([at, weight]);
    }
    return taps.map(([at, weight]) => [at, weight / total] as const);
  });
}
