/**
 * ScatterElements and ScatterND: a copy of the data with updates put in, replacing, added, multiplied, or kept
 * where larger or smaller. Updates to one place are applied in their order.
 */
import { ownValue } from '../../core/own-value';
import { attr } from '../../onnx/graph';
import type { Node } from '../../onnx/graph';
import { intAttribute, stringAttribute, unsupported } from '../attributes';
import type { GradientContext, GradientRule, OpSpec } from '../define';
import { zeros } from '../gradients';
import { inputType, normalizeAxis, sameDims, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';
import { elementAddresses, sliceAddresses } from './address';

const REDUCTIONS: Readonly<Record<string, (old: number, update: number) => number>> = {
  none: (_, update) => update,
  add: (old, update) => old + update,
  mul: (old, update) => old * update,
  max: (old, update) => Math.max(old, update),
  min: (old, update) => Math.min(old, update),
};

export function reductionOf(node: Node): string {
  return stringAttribute(node, 'reduction', 'none');
}

function combine(node: Node): (old: number, update: number) => number {
  const rule = ownValue(REDUCTIONS, reductionOf(node));
  if (!rule) throw unsupported(node, `scatters with the reduction "${reductionOf(node)}"`);
  return rule;
}

interface Access {
  /** What the indices point at in `x`, which has the data's shape. */
  gather(x: string): string;
  scatter(data: string, updates: string, reduction: string): string;
}

/** The rule of both, which differ only in how they address. Gradients to shared places go to all that share. */
function gradientBy(access: (context: GradientContext) => Access): GradientRule {
  return (context) => {
    const { node, builder, outputGradients, type, wants } = context;
    const [g] = outputGradients;
    const [data = '', , updates = ''] = node.inputs;
    const [y = ''] = node.outputs;
    if (!g) return [];
    const { gather, scatter } = access(context);
    const pair = (toData: () => string, toUpdates: () => string) => [
      wants(0) ? toData() : undefined,
      undefined,
      wants(2) ? toUpdates() : undefined,
    ];
    const zero = () => zeros(builder, type(updates).dims);
    switch (reductionOf(node)) {
      case 'none':
        // Where an index stands twice the standard leaves the result open, and so the gradient.
        return pair(
          () => scatter(g, zero(), 'none'),
          () => gather(g),
        );
      case 'add':
        return pair(
          () => g,
          () => gather(g),
        );
      case 'mul': {
        const one = () =>
          builder.node('Expand', [builder.scalar(1), builder.ints(type(data).dims)]);
        return pair(
          () => builder.node('Mul', [g, scatter(one(), updates, 'mul')]),
          () => {
            // y without this factor; by division, but for a factor of 0, which is taken to stand alone.
            const isZero = builder.node('Equal', [updates, builder.scalar(0)]);
            const safe = builder.node('Where', [isZero, builder.scalar(1), updates]);
            const whole = builder.node('Where', [isZero, gather(data), gather(y)]);
            return builder.node('Mul', [gather(g), builder.node('Div', [whole, safe])]);
          },
        );
      }
      default: {
        // Max and min: whoever equals the result shares its gradient evenly.
        const float = (condition: string) => builder.node('Cast', [condition], { to: attr.int(1) });
        const kept = float(builder.node('Equal', [data, y]));
        const won = float(builder.node('Equal', [updates, gather(y)]));
        const count = scatter(kept, won, 'add');
        const share = builder.node('Div', [g, builder.node('Max', [count, builder.scalar(1)])]);
        return pair(
          () => builder.node('Mul', [share, kept]),
          () => builder.node('Mul', [gather(share), won]),
        );
      }
    }
  };
}

export const scatterElementsSpec: OpSpec = {
  name: 'ScatterElements',
  domain: '',
  inputs: [3, 3],
  infer: (context) => {
    const { node } = context;
    const data = inputType(context, 0);
    const [indices, updates] = [inputType(context, 1), inputType(context, 2)];
    normalizeAxis(node, intAttribute(node, 'axis', 0), data.dims.length);
    if (indices.dims.length !== data.dims.length || updates.dims.length !== data.dims.length) {
      throw shapeError(
        node,
        'indices and updates',
        `of rank ${data.dims.length}`,
        `${shapeText(indices.dims)} and ${shapeText(updates.dims)}`,
      );
    }
    return [data];
  },
  reference: (node, inputs) => {
    const data = inputValue(node, inputs, 0);
    const indices = inputValue(node, inputs, 1);
    const updates = inputValue(node, inputs, 2);
    if (!sameDims(indices.dims, updates.dims)) {
      throw shapeError(node, 'the updates', shapeText(indices.dims), shapeText(updates.dims));
    }
    const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), data.dims.length);
    const to = elementAddresses(node, data.dims, indices, axis);
    const rule = combine(node);
    const y = makeValue(data.dtype, data.dims, data.data.slice());
    to.forEach((at, i) => {
      y.data[at] = rule(y.data[at] as number, updates.data[i] as number);
    });
    return [y];
  },
  gradient: gradientBy(({ node, builder }) => {
    const axis = attr.int(intAttribute(node, 'axis', 0));
    const [, indices = ''] = node.inputs;
    return {
      gather: (x) => builder.node('GatherElements', [x, indices], { axis }),
      scatter: (data, updates, reduction) =>
        builder.node('ScatterElements', [data, indices, updates], {
          axis,
          reduction: attr.string(reduction),
        }),
    };
  }),
};

export const scatterNdSpec: OpSpec = {
  name: 'ScatterND',
  domain: '',
  inputs: [3, 3],
  infer: (context) => {
    const { node } = context;
    const data = inputType(context, 0);
    const { dims } = inputType(context, 1);
    const width = dims.at(-1);
    if (width === undefined || (typeof width === 'number' && width > data.dims.length)) {
      throw shapeError(
        node,
        'the indices',
        `tuples of at most ${data.dims.length} coordinates`,
        shapeText(dims),
      );
    }
    return [data];
  },
  reference: (node, inputs) => {
    const data = inputValue(node, inputs, 0);
    const indices = inputValue(node, inputs, 1);
    const updates = inputValue(node, inputs, 2);
    const { starts, length } = sliceAddresses(node, data.dims, indices, 0);
    if (updates.data.length !== starts.length * length) {
      throw shapeError(
        node,
        'the updates',
        `${starts.length * length} elements`,
        shapeText(updates.dims),
      );
    }
    const rule = combine(node);
    const y = makeValue(data.dtype, data.dims, data.data.slice());
    starts.forEach((start, n) => {
      for (let i = 0; i < length; i++) {
        const update = updates.data[n * length + i] as number;
        y.data[start + i] = rule(y.data[start + i] as number, update);
      }
    });
    return [y];
  },
  gradient: gradientBy(({ node, builder }) => {
    const [, indices = ''] = node.inputs;
    return {
      gather: (x) => builder.node('GatherND', [x, indices]),
      scatter: (data, updates, reduction) =>
        builder.node('ScatterND', [data, indices, updates], {
          reduction: attr.string(reduction),
        }),
    };
  }),
};
