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
  const out = new Uint8Array(size * size);
  const bounds = boundsOf(ink);
  if (!bounds) return out;
  const { left, top, right, bottom } = bounds;
  const box = size * BOX_SHARE;
  const scale = box / Math.max(right - left, bottom - top);
  const width = Math.max(1, Math.round((right - left) * scale));
  const height = Math.max(1, Math.round((bottom - top) * scale));
  const scaled = areaResample(ink, bounds, width, height);

  let mass = 0;
  let massX = 0;
  let massY = 0;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const value = scaled[y * width + x] ?? 0;
      mass += value;
      massX += value * (x + 0.5);
      massY += value * (y + 0.5);
    }
  // Whole pixels only, as in MNIST: a fraction would blur the strokes.
  const shiftX = Math.round(size / 2 - massX / mass);
  const shiftY = Math.round(size / 2 - massY / mass);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [targetX, targetY] = [x + shiftX, y + shiftY];
      if (targetX < 0 || targetX >= size || targetY < 0 || targetY >= size) continue;
      out[targetY * size + targetX] = Math.round(scaled[y * width + x] ?? 0);
    }
  return out;
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

/**
 * Mean ink of the source area behind each target pixel; when a small drawing grows, areas shrink below a pixel
 * and are interpolated linearly instead.
 */
function areaResample(ink: Ink, bounds: Bounds, width: number, height: number): Float32Array {
  const columns = axisWeights(bounds.left, bounds.right, width, ink.width);
  const rows = axisWeights(bounds.top, bounds.bottom, height, ink.height);
  const out = new Float32Array(width * height);
  for (const [y, rowTaps] of rows.entries())
    for (const [x, columnTaps] of columns.entries()) {
      let sum = 0;
      for (const [row, rowWeight] of rowTaps)
        for (const [column, columnWeight] of columnTaps)
          sum += (ink.data[row * ink.width + column] ?? 0) * rowWeight * columnWeight;
      out[y * width + x] = sum;
    }
  return out;
}

type Taps = readonly (readonly [index: number, weight: number])[];

/** Triangle filter as wide as the larger of a source and a target pixel; the weights of each sum to 1. */
function axisWeights(start: number, end: number, count: number, limit: number): readonly Taps[] {
  const step = (end - start) / count;
  const reach = Math.max(1, step);
  return Array.from({ length: count }, (_, index) => {
    const centre = start + (index + 0.5) * step - 0.5;
    const taps: [number, number][] = [];
    let total = 0;
    for (let at = Math.ceil(centre - reach); at <= Math.floor(centre + reach); at++) {
      const weight = 1 - Math.abs(at - centre) / reach;
      total += weight;
      // Outside the drawing there is no ink, but its weight counts.
      if (weight > 0 && at >= 0 && at < limit) taps.push([at, weight]);
    }
    return taps.map(([at, weight]) => [at, weight / total] as const);
  });
}
