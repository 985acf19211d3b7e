/**
 * InstanceNormalization (Ulyanov, Vedaldi & Lempitsky 2016, arXiv 1607.08022) and GroupNormalization (Wu & He 2018,
 * arXiv 1803.08494): each sample's channels, alone or in groups, over all of space; then a scale and a shift for
 * each channel:  y = (x − mean) / √(var + ε) · scale[c] + bias[c]
 */
import { sizeOf } from '../../core/dtype';
import type { Node } from '../../onnx/graph';
import { floatAttribute, intAttribute } from '../attributes';
import { channelDims } from '../BatchNormalization/spec';
import type { OpSpec } from '../define';
import { emitter, reshapeTo } from '../gradients';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';
import { standardise, standardisedNodes } from './standardise';

function channelsSpec(name: string, groupsOf: (node: Node, channels: number) => number): OpSpec {
  return {
    name,
    domain: '',
    inputs: [3, 3],
    infer: (context) => {
      const { node } = context;
      const x = inputType(context, 0);
      if (x.dims.length < 2) {
        throw shapeError(node, 'input 0', 'of rank 2 or more', shapeText(x.dims));
      }
      const channels = dimAt(x.dims, 1);
      if (typeof channels === 'number' && channels % groupsOf(node, channels) !== 0) {
        const groups = `a multiple of ${groupsOf(node, channels)} groups`;
        throw shapeError(node, 'the number of channels', groups, `${channels}`);
      }
      for (const [index, port] of [
        [1, 'scale'],
        [2, 'bias'],
      ] as const) {
        const { dims } = inputType(context, index);
        const [length] = dims;
        const fits = typeof channels === 'string' || typeof length === 'string';
        if (dims.length !== 1 || !(fits || length === channels)) {
          throw shapeError(node, port, shapeText([channels]), shapeText(dims));
        }
      }
      return [x];
    },
    reference: (node, inputs) => {
      const x = inputValue(node, inputs, 0);
      const scale = inputValue(node, inputs, 1).data;
      const bias = inputValue(node, inputs, 2).data;
      const channels = dimAt(x.dims, 1);
      const space = sizeOf(x.dims.slice(2));
      const length = (channels / groupsOf(node, channels)) * space;
      const { y } = standardise(x.data, length, floatAttribute(node, 'epsilon', 1e-5));
      const data = y.map((value, i) => {
        const c = Math.floor(i / space) % channels;
        return value * (scale[c] as number) + (bias[c] as number);
      });
      return [makeValue(x.dtype, x.dims, data)];
    },
    expand: ({ node, builder, type }) => {
      const [x = '', scale = '', bias = ''] = node.inputs;
      const { dtype, dims } = type(x);
      const e = emitter(builder, dtype);
      const channels = dimAt(dims, 1);
      const groups = groupsOf(node, channels);
      const folded = [dimAt(dims, 0), groups, (channels / groups) * sizeOf(dims.slice(2))];
      const epsilon = floatAttribute(node, 'epsilon', 1e-5);
      const { y } = standardisedNodes(builder, reshapeTo(builder, x, folded), dtype, [2], epsilon);
      const wide = (value: string) =>
        reshapeTo(builder, value, channelDims([1, channels, ...dims.slice(2)]));
      return [e('Add', e('Mul', reshapeTo(builder, y, dims), wide(scale)), wide(bias))];
    },
  };
}

export const channelNormalisationSpecs: readonly OpSpec[] = [
  channelsSpec('InstanceNormalization', (_, channels) => channels),
  channelsSpec('GroupNormalization', (node) => intAttribute(node, 'num_groups')),
];
