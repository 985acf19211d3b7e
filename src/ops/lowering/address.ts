/** WGSL of addresses and numbers: strided views, broadcasting, literals. */
import { stridesOf } from '../shapes';

/** Strides with which `dims` is read as if it were broadcast to `target` (0 along repeated axes). */
export function broadcastStrides(dims: readonly number[], target: readonly number[]): number[] {
  const own = stridesOf(dims);
  const shift = target.length - dims.length;
  return target.map((_, axis) => {
    const from = axis - shift;
    return from < 0 || dims[from] === 1 ? 0 : (own[from] ?? 0);
  });
}

export interface Axis {
  readonly dim: number;
  readonly stride: number;
}

/** Joins neighbouring axes that one stride can walk, and drops those of length 1. */
export function collapse(dims: readonly number[], strides: readonly number[]): Axis[] {
  const axes: Axis[] = [];
  dims.forEach((dim, index) => {
    if (dim === 1) return;
    const stride = strides[index] ?? 0;
    const last = axes.at(-1);
    if (last !== undefined && last.stride === stride * dim) {
      axes[axes.length - 1] = { dim: last.dim * dim, stride };
    } else {
      axes.push({ dim, stride });
    }
  });
  return axes;
}

/** WGSL: where a strided view of the shape `dims` keeps the element whose row-major number is `index`. */
export function addressOf(
  dims: readonly number[],
  strides: readonly number[],
  index = 'index',
  offset = 0,
): string {
  const axes = collapse(dims, strides);
  const terms: string[] = offset === 0 ? [] : [`${offset}`];
  let below = 1;
  for (let axis = axes.length - 1; axis >= 0; axis--) {
    const { dim, stride } = axes[axis] ?? { dim: 1, stride: 0 };
    if (stride !== 0) {
      const shifted = below === 1 ? index : `(${index} / ${below})`;
      const coordinate = axis === 0 ? shifted : `(${shifted} % ${dim})`;
      terms.push(stride === 1 ? coordinate : `${coordinate} * (${stride})`);
    }
    below *= dim;
  }
  return terms.length === 0 ? '0' : terms.join(' + ');
}

/** A float literal that WGSL takes for f32, whatever the finite number. */
export function f32(value: number): string {
  if (value > 3.4028234e38) return '3.4028234e38';
  if (value < -3.4028234e38) return '-3.4028234e38';
  const text = Math.fround(value).toString();
  return `f32(${text})`;
}
