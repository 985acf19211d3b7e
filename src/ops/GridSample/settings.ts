/** What a GridSample node asks for, and where a normalised coordinate lies on an axis. */
import { ownValue } from '../../core/own-value';
import type { Node } from '../../onnx/graph';
import { intAttribute, stringAttribute } from '../attributes';
import { shapeError } from '../shapes';

export interface GridSettings {
  readonly mode: 'nearest' | 'linear' | 'cubic';
  readonly padding: 'zeros' | 'border' | 'reflection';
  readonly alignCorners: boolean;
}

/** Opset 16 said bilinear and bicubic. */
const MODES: Readonly<Record<string, GridSettings['mode']>> = {
  nearest: 'nearest',
  linear: 'linear',
  bilinear: 'linear',
  cubic: 'cubic',
  bicubic: 'cubic',
};

export function gridSettings(node: Node): GridSettings {
  const name = stringAttribute(node, 'mode', 'linear');
  const mode = ownValue(MODES, name);
  if (mode === undefined) throw shapeError(node, 'mode', 'nearest, linear or cubic', name);
  const padding = stringAttribute(node, 'padding_mode', 'zeros');
  if (padding !== 'zeros' && padding !== 'border' && padding !== 'reflection') {
    throw shapeError(node, 'padding_mode', 'zeros, border or reflection', padding);
  }
  return { mode, padding, alignCorners: intAttribute(node, 'align_corners', 0) !== 0 };
}

/** One axis of the picture: coordinate c in [-1, 1] lies at c · factor + shift; mirrors stand at `low` and `low + range`. */
export interface GridAxis {
  readonly length: number;
  readonly factor: number;
  readonly shift: number;
  readonly low: number;
  readonly range: number;
}

export function gridAxis(length: number, { alignCorners }: GridSettings): GridAxis {
  const shift = (length - 1) / 2;
  return alignCorners
    ? { length, factor: shift, shift, low: 0, range: length - 1 }
    : { length, factor: length / 2, shift, low: -0.5, range: length };
}

/** Offsets of the pixels that a coordinate is interpolated from, relative to the one below it. */
export const OFFSETS = { nearest: [0], linear: [0, 1], cubic: [-1, 0, 1, 2] } as const;

/** Keys' a; PyTorch and the ONNX standard take −0.75. */
export const CUBIC_A = -0.75;
