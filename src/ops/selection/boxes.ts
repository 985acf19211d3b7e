/**
 * NonMaxSuppression: for each image and class, boxes by falling score, each only if it overlaps none that was
 * already chosen by more than the threshold. Overlap is intersection over union.
 */
import type { OpSpec, Value } from '../define';
import { intAttribute } from '../attributes';
import { inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

interface Box {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** @param centred the four numbers are centre x, centre y, width, height; otherwise two opposite corners y, x */
function boxAt(boxes: Value, index: number, centred: boolean): Box {
  const [a = 0, b = 0, c = 0, d = 0] = boxes.data.subarray(index * 4, index * 4 + 4);
  if (centred) return { left: a - c / 2, right: a + c / 2, top: b - d / 2, bottom: b + d / 2 };
  return {
    top: Math.min(a, c),
    bottom: Math.max(a, c),
    left: Math.min(b, d),
    right: Math.max(b, d),
  };
}

const area = ({ top, left, bottom, right }: Box): number => (bottom - top) * (right - left);

function overlap(a: Box, b: Box): number {
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  if (height <= 0 || width <= 0) return 0;
  const shared = height * width;
  return shared / (area(a) + area(b) - shared);
}

export const nonMaxSuppressionSpec: OpSpec = {
  name: 'NonMaxSuppression',
  domain: '',
  inputs: [2, 5],
  infer: (context) => {
    const { dims } = inputType(context, 0);
    if (dims.length !== 3) {
      throw shapeError(context.node, 'the boxes', '[batch, boxes, 4]', shapeText(dims));
    }
    return [{ dtype: 'int64', dims: [`${context.node.name}_count`, 3] }];
  },
  reference: (node, inputs) => {
    const boxes = inputValue(node, inputs, 0); // [batch, boxes, 4]
    const scores = inputValue(node, inputs, 1); // [batch, classes, boxes]
    const most = inputs[2]?.data[0] ?? 0;
    const threshold = inputs[3]?.data[0] ?? 0;
    const least = inputs[4]?.data[0] ?? -Infinity;
    const centred = intAttribute(node, 'center_point_box', 0) !== 0;
    const [batch = 0, classes = 0, count = 0] = scores.dims;
    const rows: number[] = [];
    for (let image = 0; image < batch; image++) {
      for (let kind = 0; kind < classes; kind++) {
        const score = (box: number) =>
          scores.data[(image * classes + kind) * count + box] as number;
        const order = Array.from({ length: count }, (_, box) => box)
          .filter((box) => score(box) > least)
          .sort((a, b) => score(b) - score(a));
        const chosen: Box[] = [];
        for (const index of order) {
          if (chosen.length >= most) break;
          const box = boxAt(boxes, image * count + index, centred);
          if (chosen.some((other) => overlap(box, other) > threshold)) continue;
          chosen.push(box);
          rows.push(image, kind, index);
        }
      }
    }
    return [makeValue('int64', [rows.length / 3, 3], Float64Array.from(rows))];
  },
};
