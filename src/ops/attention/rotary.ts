/**
 * Rotary position embedding (Su et al. 2021): pairs (a, b) of a head's numbers, turned by the angle of their
 * position: (a cos − b sin, a sin + b cos). Pairs are neighbours (interleaved) or lie half the width apart; numbers
 * behind `rotary_embedding_dim` stay.
 */
import { attr } from '../../onnx/graph';
import type { Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { ExpansionContext, OpSpec, Value } from '../define';
import { reshapeTo } from '../gradients';
import { checkedIndex } from '../indexing/address';
import { inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

interface Layout {
  /** X is [batch, sequence, heads · size] instead of [batch, heads, sequence, size]. */
  readonly flat: boolean;
  readonly batch: number;
  readonly heads: number;
  readonly sequence: number;
  readonly size: number;
  /** Numbers of a head that are turned. */
  readonly turned: number;
  readonly interleaved: boolean;
}

function layoutOf(node: Node, dims: readonly number[]): Layout {
  const [batch = 0, second = 0, third = 0, fourth = 0] = dims;
  const flat = dims.length === 3;
  const heads = flat ? intAttribute(node, 'num_heads') : second;
  const size = flat ? third / heads : fourth;
  const turned = intAttribute(node, 'rotary_embedding_dim', 0) || size;
  if (heads < 1 || turned % 2 !== 0 || turned > size || !Number.isInteger(size)) {
    throw shapeError(node, 'X', `heads with ${turned} numbers in pairs`, shapeText(dims));
  }
  const interleaved = intAttribute(node, 'interleaved', 0) !== 0;
  return { flat, batch, heads, sequence: flat ? second : third, size, turned, interleaved };
}

function reference(node: Node, inputs: readonly (Value | undefined)[]): Value[] {
  const x = inputValue(node, inputs, 0);
  const cosines = inputValue(node, inputs, 1);
  const sines = inputValue(node, inputs, 2);
  const positions = inputs[3];
  const { flat, batch, heads, sequence, size, turned, interleaved } = layoutOf(node, x.dims);
  const half = turned / 2;
  if (cosines.dims.at(-1) !== half) {
    throw shapeError(node, 'cos_cache', `[..., ${half}]`, shapeText(cosines.dims));
  }
  const y = makeValue(x.dtype, x.dims, x.data.slice());
  for (let b = 0; b < batch; b++) {
    for (let s = 0; s < sequence; s++) {
      const token = b * sequence + s;
      const row = positions
        ? checkedIndex(node, positions.data[token] as number, cosines.dims[0] ?? 0)
        : token;
      for (let h = 0; h < heads; h++) {
        const start = (flat ? token * heads + h : (b * heads + h) * sequence + s) * size;
        for (let pair = 0; pair < half; pair++) {
          const first = start + (interleaved ? 2 * pair : pair);
          const second = first + (interleaved ? 1 : half);
          const [c, d] = [cosines.data[row * half + pair], sines.data[row * half + pair]] as [
            number,
            number,
          ];
          const [real, imaginary] = [x.data[first], x.data[second]] as [number, number];
          y.data[first] = c * real - d * imaginary;
          y.data[second] = d * real + c * imaginary;
        }
      }
    }
  }
  return [y];
}

function expand({ node, builder, type }: ExpansionContext): readonly string[] {
  const [x = '', cosines = '', sines = '', positions = ''] = node.inputs;
  const { dims } = type(x);
  const { flat, batch, heads, sequence, size, turned, interleaved } = layoutOf(node, dims);
  const half = turned / 2;
  const last = attr.int(-1);
  const lead = flat ? [batch, sequence, heads] : [batch, heads, sequence];
  const angles = (cache: string) => {
    const own =
      positions === '' ? cache : builder.node('Gather', [cache, positions], { axis: attr.int(0) });
    const rows = positions === '' ? (type(cache).dims[0] ?? 1) : batch;
    const spread = flat ? [rows, sequence, 1, half] : [rows, 1, sequence, half];
    return reshapeTo(builder, own, interleaved ? [...spread, 1] : spread);
  };
  const [cos, sin] = [angles(cosines), angles(sines)];
  const byHeads = flat ? reshapeTo(builder, x, [...lead, size]) : x;
  const parts = (name: string, lengths: readonly number[]) =>
    builder.nodes('Split', [name, builder.ints(lengths)], lengths.length, { axis: last });
  const rest = size - turned;
  let pair: readonly string[];
  let kept: string | undefined;
  if (interleaved) {
    const [turning = '', still] = rest === 0 ? [byHeads] : parts(byHeads, [turned, rest]);
    kept = still;
    pair = parts(reshapeTo(builder, turning, [...lead, half, 2]), [1, 1]);
  } else {
    const [a = '', b = '', still] = parts(byHeads, rest === 0 ? [half, half] : [half, half, rest]);
    kept = still;
    pair = [a, b];
  }
  const [a = '', b = ''] = pair;
  const mul = (left: string, right: string) => builder.node('Mul', [left, right]);
  const real = builder.node('Sub', [mul(a, cos), mul(b, sin)]);
  const imaginary = builder.node('Add', [mul(a, sin), mul(b, cos)]);
  let turnedParts = [real, imaginary];
  if (interleaved) {
    const pairs = builder.node('Concat', turnedParts, { axis: last });
    turnedParts = [reshapeTo(builder, pairs, [...lead, turned])];
  }
  const together = kept === undefined ? turnedParts : [...turnedParts, kept];
  const [only = ''] = together;
  const whole = together.length === 1 ? only : builder.node('Concat', together, { axis: last });
  return [flat ? reshapeTo(builder, whole, dims) : whole];
}

export const rotaryEmbeddingSpec: OpSpec = {
  name: 'RotaryEmbedding',
  domain: '',
  inputs: [3, 4],
  infer: (context) => {
    const type = inputType(context, 0);
    if (type.dims.length === 3 || type.dims.length === 4) return [type];
    throw shapeError(context.node, 'X', 'of rank 3 or 4', shapeText(type.dims));
  },
  reference,
  expand,
};
