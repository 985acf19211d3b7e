/** GatherElements and GatherND. What was read several times gets its gradients added up. */
import { sizeOf } from '../../core/dtype';
import { attr } from '../../onnx/graph';
import type { Dim, Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { zeros } from '../gradients';
import { dimAt, inputType, normalizeAxis, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';
import { elementAddresses, sliceAddresses } from './address';

export const gatherElementsSpec: OpSpec = {
  name: 'GatherElements',
  domain: '',
  inputs: [2, 2],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    const indices = inputType(context, 1);
    normalizeAxis(context.node, intAttribute(context.node, 'axis', 0), dims.length);
    if (indices.dims.length !== dims.length) {
      throw shapeError(
        context.node,
        'the indices',
        `of rank ${dims.length}`,
        shapeText(indices.dims),
      );
    }
    return [{ dtype, dims: indices.dims }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const indices = inputValue(node, inputs, 1);
    const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), x.dims.length);
    const from = elementAddresses(node, x.dims, indices, axis);
    const y = makeValue(x.dtype, indices.dims);
    for (let i = 0; i < from.length; i++) y.data[i] = x.data[from[i] as number] as number;
    return [y];
  },
  gradient: ({ node, builder, outputGradients, type }) => {
    const [g] = outputGradients;
    const [x = '', indices = ''] = node.inputs;
    if (!g) return [];
    return [
      builder.node('ScatterElements', [zeros(builder, type(x).dims), indices, g], {
        axis: attr.int(intAttribute(node, 'axis', 0)),
        reduction: attr.string('add'),
      }),
    ];
  },
};

/** [batch..., positions..., coordinates] picks slices: [batch..., positions..., rest of the data]. */
function gatheredDims<T extends Dim>(
  node: Node,
  dims: readonly T[],
  indices: readonly T[],
  batchDims: number,
): T[] {
  const width = indices.at(-1);
  if (typeof width !== 'number') {
    throw shapeError(node, 'the last axis of the indices', 'of fixed length', shapeText(indices));
  }
  if (batchDims >= indices.length || batchDims + width > dims.length) {
    throw shapeError(
      node,
      'the indices',
      `for ${batchDims} batch axes and at most ${dims.length - batchDims} coordinates`,
      shapeText(indices),
    );
  }
  return [...indices.slice(0, -1), ...dims.slice(batchDims + width)];
}

export const gatherNdSpec: OpSpec = {
  name: 'GatherND',
  domain: '',
  inputs: [2, 2],
  infer: (context) => {
    const { node } = context;
    const { dtype, dims } = inputType(context, 0);
    const batchDims = intAttribute(node, 'batch_dims', 0);
    return [{ dtype, dims: gatheredDims(node, dims, inputType(context, 1).dims, batchDims) }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const indices = inputValue(node, inputs, 1);
    const batchDims = intAttribute(node, 'batch_dims', 0);
    const y = makeValue(x.dtype, gatheredDims(node, x.dims, indices.dims, batchDims));
    const { starts, length } = sliceAddresses(node, x.dims, indices, batchDims);
    starts.forEach((start, n) => y.data.set(x.data.subarray(start, start + length), n * length));
    return [y];
  },
  gradient: ({ node, builder, outputGradients, type }) => {
    const [g] = outputGradients;
    const [x = '', indices = ''] = node.inputs;
    if (!g) return [];
    const { dims } = type(x);
    const at = type(indices);
    const batchDims = intAttribute(node, 'batch_dims', 0);
    let full =
      at.dtype === 'int64' ? indices : builder.node('Cast', [indices], { to: attr.int(7) });
    if (batchDims > 0) {
      // Scattering knows no batches, so the batch's own coordinates go in front of the others.
      const lead = at.dims.slice(0, -1);
      const batches = sizeOf(dims.slice(0, batchDims));
      const each = sizeOf(lead) / Math.max(1, batches);
      const coordinates: number[] = [];
      for (let n = 0; n < sizeOf(lead); n++) {
        let rest = Math.floor(n / each);
        const tuple = new Array<number>(batchDims);
        for (let axis = batchDims - 1; axis >= 0; axis--) {
          tuple[axis] = rest % dimAt(dims, axis);
          rest = Math.floor(rest / dimAt(dims, axis));
        }
        coordinates.push(...tuple);
      }
      const grid = builder.constant('int64', [...lead, batchDims], coordinates);
      full = builder.node('Concat', [grid, full], { axis: attr.int(-1) });
    }
    return [
      builder.node('ScatterND', [zeros(builder, dims), full, g], {
        reduction: attr.string('add'),
      }),
    ];
  },
};
