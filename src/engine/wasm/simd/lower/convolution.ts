/** Conv and its gradients, in one and two spatial axes, in groups too. */
import { intAttribute, intsAttribute } from '../../../../ops/attributes';
import { cube, windowOf } from '../../../../ops/Conv/window';
import type { Window } from '../../../../ops/Conv/window';
import { Unsupported } from '../call';
import type { Call, Lowering, LoweringTable } from '../call';
import type { Direction, Sight } from '../columns';
import { convolutionAnchor, weightGradientKernel, weightGradientParts } from '../convolution';
import type { ConvolutionShape } from '../convolution';
import { whole } from '../view';
import { reduce } from './reductions';

function sightOf(call: Call, window: Window, direction: Direction): Sight {
  const [depth, height, width] = cube(window);
  if (depth.kernel !== 1 || depth.input !== 1 || depth.output !== 1) {
    throw new Unsupported(`${call.node.op} in three axes`);
  }
  return { direction, height, width };
}

const convolution: Lowering = (call) => {
  const x = call.contiguous(call.input(0));
  const w = call.contiguous(call.input(1));
  const bias = call.has(2) ? call.contiguous(call.input(2)) : undefined;
  const group = intAttribute(call.node, 'group', 1);
  const [filters = 1, channels = 1, ...kernel] = w.dims;
  const shape: ConvolutionShape = {
    batch: x.dims[0] ?? 1,
    group,
    channels,
    filters: filters / group,
    sight: sightOf(call, windowOf(call.node, x.dims, kernel), 'gather'),
  };
  call.plan.anchor(convolutionAnchor('Conv', shape, x, w, bias, call.output()));
};

const inputGradient: Lowering = (call) => {
  const dy = call.contiguous(call.input(0));
  const w = call.input(1);
  const group = intAttribute(call.node, 'group', 1);
  const dims = intsAttribute(call.node, 'input_shape');
  const [filters = 1, channels = 1, ...kernel] = w.dims;
  const shape: ConvolutionShape = {
    batch: dims[0] ?? 1,
    group,
    channels: filters / group,
    filters: channels,
    sight: sightOf(call, windowOf(call.node, dims, kernel), 'scatter'),
  };
  // [group · channels, filters / group · taps]: the weight with its first two axes exchanged in each group.
  const space = kernel.map((_, axis) => axis + 3);
  const split = call.reshape(w, [group, filters / group, channels, ...kernel]);
  const order = [0, 2, 1, ...space];
  const pick = (list: readonly number[]) => order.map((axis) => list[axis] ?? 1);
  const turned = call.contiguous({
    ...split,
    dims: pick(split.dims),
    strides: pick(split.strides),
  });
  call.plan.anchor(convolutionAnchor('ConvGradInput', shape, dy, turned, undefined, call.output()));
};

const weightGradient: Lowering = (call) => {
  const dy = call.contiguous(call.input(0));
  const x = call.contiguous(call.input(1));
  const group = intAttribute(call.node, 'group', 1);
  const dims = intsAttribute(call.node, 'weight_shape');
  const [filters = 1, channels = 1, ...kernel] = dims;
  const shape: ConvolutionShape = {
    batch: x.dims[0] ?? 1,
    group,
    channels,
    filters: filters / group,
    sight: sightOf(call, windowOf(call.node, x.dims, kernel), 'gather'),
  };
  const output = call.output();
  const parts = weightGradientParts(shape);
  const size = output.buffer.elements;
  if (parts === 1) {
    call.plan.kernel(weightGradientKernel(shape, dy, x, output, 1));
    return;
  }
  const partial = call.temporary([parts, size]);
  call.plan.kernel(weightGradientKernel(shape, dy, x, partial, parts));
  reduce(call, {
    name: 'ReduceSum',
    input: partial,
    axes: [0],
    output: whole(output.buffer, [size], 'float'),
    combine: 'sum',
  });
};

export const CONVOLUTION: LoweringTable = {
  Conv: convolution,
  ConvGradInput: inputGradient,
  ConvGradWeight: weightGradient,
};
