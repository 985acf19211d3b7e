/** Lengths of a slice where axes or bounds are symbolic. */
import { addDims, ceilDivDims, maxDim, minDim, signOf, subDims } from '../../onnx/dim';
import type { Dim, Node } from '../../onnx/graph';
import { dimAt, normalizeAxis } from '../shapes';

/** Exporters write "to the end" as the largest integer of 32 or 64 bits. */
const FAR = 2 ** 31 - 1;

/** A bound within [0, dim]; symbols in bounds are lengths, and what cuts from a length is taken to leave something. */
function clamped(bound: Dim, dim: Dim): Dim {
  if (typeof bound === 'number') {
    if (bound >= FAR) return dim;
    if (bound <= -FAR) return 0;
    return bound < 0 ? maxDim(addDims(dim, bound), 0) : minDim(bound, dim);
  }
  const positive = signOf(bound) === -1 ? addDims(dim, bound) : bound;
  return minDim(positive, dim);
}

/** @returns undefined where axes or steps are not known. */
export function symbolicSlice(
  node: Node,
  dims: readonly Dim[],
  elements: (index: number) => readonly Dim[] | undefined,
): Dim[] | undefined {
  const [starts, ends] = [elements(1), elements(2)];
  const given = node.inputs[3] ? elements(3) : starts?.map((_, index) => index);
  const steps = node.inputs[4] ? elements(4) : starts?.map(() => 1);
  if (!given || !steps) return undefined;
  const result = [...dims];
  for (const [index, axis] of given.entries()) {
    const step = steps[index];
    if (typeof axis !== 'number' || typeof step !== 'number') return undefined;
    const at = normalizeAxis(node, axis, dims.length);
    const dim = dimAt(dims, at);
    const [start, end] = [starts?.[index], ends?.[index]];
    if (start === undefined || end === undefined) result[at] = `${node.name}_${at}`;
    else if (step > 0) {
      const from = clamped(start, dim);
      // A cut from the start of an axis of unknown length is taken to fit into it.
      const rest = start === 0 ? clamped(end, dim) : subDims(clamped(end, dim), from);
      result[at] = ceilDivDims(typeof rest === 'number' ? Math.max(0, rest) : rest, step);
    } else if (
      (start === -1 || (typeof start === 'number' && start >= FAR)) &&
      typeof end === 'number' &&
      end <= -FAR
    ) {
      result[at] = ceilDivDims(dim, -step);
    } else result[at] = `${node.name}_${at}`;
  }
  return result;
}
