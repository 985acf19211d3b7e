/**
 * Values of a step as strided views on buffers, so that reshapes, transposes, splits and broadcasts move nothing.
 * Every element takes four bytes: float32, int32, or a bool as 0 or 1. Offsets and strides count elements.
 */
import { invariant } from '../../../core/errors';
import { sizeOf } from '../../../core/dtype';

export type Kind = 'float' | 'int' | 'bool';

/** Where values lie. The address is known when the plan of memory is made. */
export interface Buffer {
  readonly name: string;
  readonly elements: number;
  /** Whether the plan of memory gives the place; else it has one already. */
  readonly planned: boolean;
  /** Kept until the end of the step. */
  pinned: boolean;
  address: number;
}

export interface View {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
  readonly kind: Kind;
}

export function rowMajor(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length).fill(1);
  for (let axis = dims.length - 2; axis >= 0; axis--) {
    strides[axis] = (strides[axis + 1] ?? 1) * (dims[axis + 1] ?? 1);
  }
  return strides;
}

export function whole(buffer: Buffer, dims: readonly number[], kind: Kind): View {
  return { buffer, offset: 0, dims, strides: rowMajor(dims), kind };
}

/** In bytes, of the first element. */
export const addressOf = ({ buffer, offset }: View): number => buffer.address + 4 * offset;

/** Whether elements lie one after another in the order of their indices. Axes of length 1 have no stride to speak of. */
export function isContiguous({ dims, strides }: View): boolean {
  const expected = rowMajor(dims);
  return dims.every((dim, axis) => dim === 1 || strides[axis] === expected[axis]);
}

/** Whether it is all of its buffer, in order. */
export function isWhole(view: View): boolean {
  return view.offset === 0 && sizeOf(view.dims) === view.buffer.elements && isContiguous(view);
}

/** The same elements under other lengths; undefined where that needs a copy. */
export function reshaped(view: View, dims: readonly number[]): View | undefined {
  invariant(sizeOf(dims) === sizeOf(view.dims), 'A reshape keeps the number of elements.');
  if (isContiguous(view)) return { ...view, dims, strides: rowMajor(dims) };
  // Each group of old axes that becomes a group of new ones must be evenly spaced inside.
  const old = view.dims.flatMap((dim, axis) =>
    dim === 1 ? [] : [{ dim, stride: view.strides[axis] ?? 0 }],
  );
  const strides = new Array<number>(dims.length).fill(0);
  let next = old.length - 1;
  let length = 1;
  let stride = 0;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    const dim = dims[axis] ?? 1;
    if (dim === 1) continue;
    if (length === 1) {
      const taken = old[next--];
      if (taken === undefined) return undefined;
      ({ dim: length, stride } = taken);
    }
    strides[axis] = stride;
    while (length < dim) {
      const joined = old[next--];
      if (joined === undefined || joined.stride !== stride * length) return undefined;
      length *= joined.dim;
    }
    if (length % dim !== 0) return undefined;
    length /= dim;
    stride *= dim;
  }
  return { ...view, dims, strides };
}

export function permuted(view: View, axes: readonly number[]): View {
  const pick = (list: readonly number[]) => axes.map((axis) => list[axis] ?? 0);
  return { ...view, dims: pick(view.dims), strides: pick(view.strides) };
}

/** Broadcast to wider lengths: repeated axes stand still. */
export function expanded(view: View, dims: readonly number[]): View {
  const lead = dims.length - view.dims.length;
  const strides = dims.map((dim, axis) => {
    const own = axis < lead ? 1 : (view.dims[axis - lead] ?? 1);
    return own === 1 && dim !== 1 ? 0 : axis < lead ? 0 : (view.strides[axis - lead] ?? 0);
  });
  return { ...view, dims, strides };
}

export interface Axes {
  readonly dims: readonly number[];
  /** For each view, a stride for each axis. */
  readonly strides: readonly (readonly number[])[];
}

/**
 * The fewest axes on which all views (of the same dims) are still evenly spaced; at least one. Axes of `apart`, counted
 * in the views' own, are never joined with the one after them.
 */
export function collapse(
  dims: readonly number[],
  strides: readonly (readonly number[])[],
  apart: ReadonlySet<number> = new Set(),
): Axes {
  const kept: { dim: number; strides: number[] }[] = [];
  let barrier = false;
  dims.forEach((dim, axis) => {
    const own = strides.map((list) => list[axis] ?? 0);
    const last = kept.at(-1);
    if (dim === 1) {
      barrier ||= apart.has(axis);
      return;
    }
    const joins =
      last !== undefined &&
      !barrier &&
      last.strides.every((stride, view) => stride === (own[view] ?? 0) * dim);
    if (last !== undefined && joins) {
      last.dim *= dim;
      last.strides = own;
    } else kept.push({ dim, strides: own });
    barrier = apart.has(axis);
  });
  if (kept.length === 0) kept.push({ dim: 1, strides: strides.map(() => 1) });
  return {
    dims: kept.map(({ dim }) => dim),
    strides: strides.map((_, view) => kept.map((axis) => axis.strides[view] ?? 0)),
  };
}

/** Lengths that divide `total` elements at every place where one of these shapes does; undefined if they cross. */
export function refined(shapes: readonly (readonly number[])[]): number[] | undefined {
  const places = new Set<number>();
  for (const dims of shapes) {
    let size = 1;
    for (let axis = dims.length - 1; axis >= 0; axis--) places.add((size *= dims[axis] ?? 1));
  }
  places.add(1);
  const sorted = [...places].sort((a, b) => a - b);
  const dims: number[] = [];
  for (let index = 1; index < sorted.length; index++) {
    const [inner = 1, outer = 1] = [sorted[index - 1], sorted[index]];
    if (outer % inner !== 0) return undefined;
    dims.unshift(outer / inner);
  }
  return dims;
}
