/**
 * Bilinear resizing as ONNX's Resize does it (mode `linear`, `half_pixel`, no antialias): the value at output i lies at
 * (i + 1/2) n/m - 1/2 of the input, held inside it. Pictures are brought to a model's size with it.
 */
export interface Taps {
  /** Input positions on both sides of each output, and how much of the right one counts. */
  readonly left: Int32Array;
  readonly right: Int32Array;
  readonly share: Float64Array;
}

export function linearTaps(from: number, to: number): Taps {
  const left = new Int32Array(to);
  const right = new Int32Array(to);
  const share = new Float64Array(to);
  for (let index = 0; index < to; index++) {
    const at = Math.min(from - 1, Math.max(0, ((index + 0.5) * from) / to - 0.5));
    left[index] = Math.floor(at);
    right[index] = Math.min(from - 1, Math.floor(at) + 1);
    share[index] = at - Math.floor(at);
  }
  return { left, right, share };
}

/** One plane of `source` [height, width] into `out` [rows.left.length, columns.left.length]. */
export function resizePlane(
  source: ArrayLike<number>,
  width: number,
  rows: Taps,
  columns: Taps,
  out: Float32Array | Float64Array,
  start = 0,
): void {
  const outWidth = columns.left.length;
  for (let y = 0; y < rows.left.length; y++) {
    const top = (rows.left[y] ?? 0) * width;
    const bottom = (rows.right[y] ?? 0) * width;
    const low = rows.share[y] ?? 0;
    for (let x = 0; x < outWidth; x++) {
      const left = columns.left[x] ?? 0;
      const right = columns.right[x] ?? 0;
      const across = columns.share[x] ?? 0;
      const above = (source[top + left] ?? 0) * (1 - across) + (source[top + right] ?? 0) * across;
      const below =
        (source[bottom + left] ?? 0) * (1 - across) + (source[bottom + right] ?? 0) * across;
      out[start + y * outWidth + x] = above * (1 - low) + below * low;
    }
  }
}
