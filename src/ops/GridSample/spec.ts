import type { OpSpec } from '../define';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { gridSampleExpand } from './expand';
import { gridSampleReference } from './reference';
import { gridSettings } from './settings';

/** (X [N, C, ...], grid [N, ..., axes]) -> [N, C, ...]: the shape of the grid with the channels of X. */
export const gridSampleSpec: OpSpec = {
  name: 'GridSample',
  domain: '',
  inputs: [2, 2],
  infer: (context) => {
    const { node } = context;
    gridSettings(node);
    const { dtype, dims } = inputType(context, 0);
    const grid = inputType(context, 1).dims;
    if (dims.length < 3 || grid.length !== dims.length) {
      throw shapeError(
        node,
        'the grid',
        `of rank ${dims.length}, as the input is`,
        shapeText(grid),
      );
    }
    const last = dimAt(grid, grid.length - 1);
    if (typeof last === 'number' && last !== dims.length - 2) {
      throw shapeError(node, 'the grid', `${dims.length - 2} coordinates a point`, shapeText(grid));
    }
    return [{ dtype, dims: [dimAt(dims, 0), dimAt(dims, 1), ...grid.slice(1, -1)] }];
  },
  reference: gridSampleReference,
  expand: gridSampleExpand,
};
