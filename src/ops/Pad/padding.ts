/**
 * What a Pad adds or cuts on each axis, and which element a padded position shows: a constant, the mirror image
 * without the edge itself (reflect), the edge, or the tensor from its other end (wrap).
 */
import { addDims } from '../../onnx/dim';
import type { Dim, Node } from '../../onnx/graph';
import { stringAttribute, unsupported } from '../attributes';
import { dimAt, normalizeAxis, shapeError } from '../shapes';

export interface Padding {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** Lengths added (or, below 0, cut) before and after each axis. */
export function paddingOf(
  node: Node,
  rank: number,
  pads: readonly number[],
  axes: readonly number[] | undefined,
): Padding {
  const on = axes?.map((axis) => normalizeAxis(node, axis, rank));
  const count = on?.length ?? rank;
  if (pads.length !== 2 * count) {
    throw shapeError(node, 'pads', `${2 * count} long`, String(pads.length));
  }
  const side = (offset: number) =>
    Array.from({ length: rank }, (_, axis) => {
      const at = on ? on.indexOf(axis) : axis;
      return at === -1 ? 0 : dimAt(pads, offset + at);
    });
  return { before: side(0), after: side(count) };
}

export function paddedDims(node: Node, dims: readonly Dim[], { before, after }: Padding): Dim[] {
  return dims.map((dim, axis): Dim => {
    const more = dimAt(before, axis) + dimAt(after, axis);
    if (more === 0) return dim;
    if (typeof dim !== 'number') return addDims(dim, more);
    if (dim + more >= 0) return dim + more;
    throw shapeError(node, 'pads', `that leave axis ${axis} (${dim} long)`, String(more));
  });
}

export type PadMode = 'constant' | 'reflect' | 'edge' | 'wrap';

export function padMode(node: Node): PadMode {
  const mode = stringAttribute(node, 'mode', 'constant');
  if (mode === 'constant' || mode === 'reflect' || mode === 'edge' || mode === 'wrap') return mode;
  throw unsupported(node, `pads in the mode "${mode}"`);
}

/** Of each position of a padded axis the position that it shows; −1 is the constant. Negative pads cut first. */
export function shownPositions(
  node: Node,
  mode: PadMode,
  length: number,
  before: number,
  after: number,
): Int32Array {
  const first = Math.max(0, -before);
  const kept = length - first - Math.max(0, -after);
  const lead = Math.max(0, before);
  const shown = new Int32Array(Math.max(0, length + before + after));
  if (kept <= 0 && shown.length > 0 && mode !== 'constant') {
    throw shapeError(node, 'the padded axis', 'of length 1 or more', String(kept));
  }
  for (let i = 0; i < shown.length; i++) {
    const at = i - lead;
    const inside = at >= 0 && at < kept;
    shown[i] = inside || mode !== 'constant' ? first + within(mode, at, kept) : -1;
  }
  return shown;
}

function within(mode: PadMode, at: number, length: number): number {
  if (mode === 'wrap') return ((at % length) + length) % length;
  if (mode !== 'reflect') return Math.min(Math.max(at, 0), length - 1);
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const phase = ((at % period) + period) % period;
  return Math.min(phase, period - phase);
}
