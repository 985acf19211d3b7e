/** RoiAlign on the graphics processor: one thread an output, sampling as reference.ts does. */
import { input, inputType, outputType } from '../lowering/context';
import type { Lowering } from '../lowering/plan';
import { f32 } from '../lowering/address';
import { roiSettings } from './spec';

export const roiAlign: Lowering = (context) => {
  const [, channels = 1, height = 1, width = 1] = inputType(context, 0).dims;
  const { mode, half, rows, columns, ratio, scale } = roiSettings(context.node);
  const axis = (name: string, side: number, parts: number): string => `
  let start_${name} = x1(r * 4 + ${side}) * ${f32(scale)} - ${half ? '0.5' : '0.0'};
  let extent_${name} = x1(r * 4 + ${side + 2}) * ${f32(scale)} - ${half ? '0.5' : '0.0'} - start_${name};
  let bin_${name} = ${half ? `extent_${name}` : `max(extent_${name}, 1.0)`} / ${f32(parts)};
  let count_${name} = ${ratio > 0 ? `${ratio}` : `i32(ceil(bin_${name}))`};`;
  // The pixel below and above a sample, clamped into the picture, and the share of the one above.
  const place = (name: string, length: number): string => `
      let inside_${name} = clamp(s_${name}, 0.0, ${f32(length - 1)});
      let low_${name} = i32(inside_${name});
      let high_${name} = min(low_${name} + 1, ${length - 1});
      let part_${name} = inside_${name} - f32(low_${name});`;
  const corner = (v: string, h: string): string => {
    const share = (name: string, side: string) =>
      side === 'low' ? `(1.0 - part_${name})` : `part_${name}`;
    return `x0(plane + ${v}_y * ${width} + ${h}_x) * ${share('y', v)} * ${share('x', h)}`;
  };
  const corners = ['low', 'high'].flatMap((v) => ['low', 'high'].map((h) => corner(v, h)));
  const value =
    mode === 'avg'
      ? corners.join(' + ')
      : corners.reduce((most, each) => (most === '' ? each : `max(${most}, ${each})`), '');
  return context.plan.kernel({
    label: 'RoiAlign',
    inputs: [0, 1, 2].map((port) => input(context, port)),
    outputs: [outputType(context)],
    body: `  let column = index % ${columns};
  let row = (index / ${columns}) % ${rows};
  let c = (index / ${rows * columns}) % ${channels};
  let r = index / ${channels * rows * columns};
  let plane = (x2(r) * ${channels} + c) * ${height * width};${axis('x', 0, columns)}${axis('y', 1, rows)}
  var total = 0.0;
  var most = -3.4028234e38;
  for (var i = 0; i < count_y; i++) {
    let s_y = start_y + f32(row) * bin_y + (f32(i) + 0.5) * bin_y / f32(count_y);${place('y', height)}
    for (var j = 0; j < count_x; j++) {
      let s_x = start_x + f32(column) * bin_x + (f32(j) + 0.5) * bin_x / f32(count_x);${place('x', width)}
      let near = (s_y >= -1.0) & (s_y <= ${f32(height)}) & (s_x >= -1.0) & (s_x <= ${f32(width)});
      let value = select(0.0, ${value}, near);
      total += value;
      most = max(most, value);
    }
  }
  let samples = count_y * count_x;
  y0(index, ${mode === 'avg' ? 'total / f32(max(samples, 1))' : 'select(0.0, most, samples > 0)'});`,
  });
};
