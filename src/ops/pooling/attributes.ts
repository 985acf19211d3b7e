/** What every pool and its gradient say of their window. */
import { attr } from '../../onnx/graph';
import type { Attribute, Dim, Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import { windowAttributes } from '../Conv/gradient';
import { windowDims } from '../Conv/window';
import type { Window } from '../Conv/window';
import { dimAt } from '../shapes';

export function pooledDims(node: Node, dims: readonly Dim[]): Dim[] {
  return [dimAt(dims, 0), dimAt(dims, 1), ...windowDims(node, dims)];
}

/** The window with explicit padding; `ceil_mode` stays, because it says which padding counts. */
export function poolAttributes(node: Node, window: Window): Record<string, Attribute> {
  const ceil = intAttribute(node, 'ceil_mode', 0) !== 0;
  return { ...windowAttributes(window), ...(ceil && { ceil_mode: attr.int(1) }) };
}

export function includesPad(node: Node): boolean {
  return intAttribute(node, 'count_include_pad', 0) !== 0;
}
