/**
 * Pools regions of a picture to one size by sampling between pixels (He et al. 2017, "Mask R-CNN"): (X [N, C, H, W],
 * rois [R, 4] as x1 y1 x2 y2, picture of each) -> [R, C, height, width]. Inference only: how many points a region is
 * sampled at depends on its values.
 */
import type { Node } from '../../onnx/graph';
import { floatAttribute, intAttribute, stringAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

interface Corner {
  readonly at: number;
  readonly weight: number;
}

/** The four pixels around a point; none where it lies further out than a pixel. */
function cornersAt(y: number, x: number, height: number, width: number): Corner[] {
  if (y < -1 || y > height || x < -1 || x > width) return [];
  const axis = (value: number, length: number) => {
    const inside = Math.min(Math.max(value, 0), length - 1);
    const low = Math.floor(inside);
    return { low, high: Math.min(low + 1, length - 1), part: inside - low };
  };
  const v = axis(y, height);
  const h = axis(x, width);
  return [
    { at: v.low * width + h.low, weight: (1 - v.part) * (1 - h.part) },
    { at: v.low * width + h.high, weight: (1 - v.part) * h.part },
    { at: v.high * width + h.low, weight: v.part * (1 - h.part) },
    { at: v.high * width + h.high, weight: v.part * h.part },
  ];
}

export function roiSettings(node: Node) {
  const mode = stringAttribute(node, 'mode', 'avg');
  if (mode !== 'avg' && mode !== 'max') throw shapeError(node, 'mode', 'avg or max', mode);
  const transform = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel');
  return {
    mode,
    half: transform === 'half_pixel',
    rows: intAttribute(node, 'output_height', 1),
    columns: intAttribute(node, 'output_width', 1),
    ratio: intAttribute(node, 'sampling_ratio', 0),
    scale: floatAttribute(node, 'spatial_scale', 1),
  };
}

export const roiAlignSpec: OpSpec = {
  name: 'RoiAlign',
  domain: '',
  inputs: [3, 3],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    const rois = inputType(context, 1).dims;
    if (dims.length !== 4) {
      throw shapeError(context.node, 'input 0', 'of rank 4 (NCHW)', shapeText(dims));
    }
    const { rows, columns } = roiSettings(context.node);
    return [{ dtype, dims: [dimAt(rois, 0), dimAt(dims, 1), rows, columns] }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const rois = inputValue(node, inputs, 1);
    const pictures = inputValue(node, inputs, 2);
    const { mode, half, rows, columns, ratio, scale } = roiSettings(node);
    const [, channels, height, width] = x.dims as [number, number, number, number];
    const regions = dimAt(rois.dims, 0);
    const y = makeValue(x.dtype, [regions, channels, rows, columns]);
    const offset = half ? 0.5 : 0;
    for (let r = 0; r < regions; r++) {
      const edge = (side: number) => (rois.data[r * 4 + side] as number) * scale - offset;
      const [left, top] = [edge(0), edge(1)];
      // The older mode makes malformed regions one pixel large.
      const least = half ? -Infinity : 1;
      const binWidth = Math.max(edge(2) - left, least) / columns;
      const binHeight = Math.max(edge(3) - top, least) / rows;
      const across = ratio > 0 ? ratio : Math.ceil(binWidth);
      const down = ratio > 0 ? ratio : Math.ceil(binHeight);
      for (let bin = 0; bin < rows * columns; bin++) {
        const column = bin % columns;
        const row = (bin - column) / columns;
        const samples: Corner[][] = [];
        for (let i = 0; i < down; i++) {
          const v = top + row * binHeight + ((i + 0.5) * binHeight) / down;
          for (let j = 0; j < across; j++) {
            const h = left + column * binWidth + ((j + 0.5) * binWidth) / across;
            samples.push(cornersAt(v, h, height, width));
          }
        }
        for (let c = 0; c < channels; c++) {
          const plane = ((pictures.data[r] as number) * channels + c) * height * width;
          // The standard's maximum is over weighted corners, not over samples; outside counts as 0.
          const values = samples.map((corners) => {
            const parts = corners.map(({ at, weight }) => weight * (x.data[plane + at] as number));
            if (mode === 'max') return parts.length === 0 ? 0 : Math.max(...parts);
            return parts.reduce((sum, part) => sum + part, 0);
          });
          y.data[(r * channels + c) * rows * columns + bin] =
            mode === 'max'
              ? Math.max(...(values.length === 0 ? [0] : values))
              : values.reduce((sum, value) => sum + value, 0) / Math.max(samples.length, 1);
        }
      }
    }
    return [y];
  },
};
