/**
 * Scaled dot-product attention (Vaswani et al. 2017), with heads of K and V shared by groups of query heads
 * (Ainslie et al. 2023):
 *
 *   Y = softmax(cap(scale · Q Kᵀ) + mask) V        cap(s) = c · tanh(s / c)
 *
 * A query to which no key is open gives zeros. Causal: query i sees keys up to i + past.
 */
import type { Node } from '../../onnx/graph';
import type { Value } from '../define';
import { stridesOf } from '../shapes';
import { inputValue, makeValue } from '../value';
import { INPUT, settingsOf, sizesOf } from './settings';

/** [batch, sequence, heads · size] as [batch, heads, sequence, size]. */
function byHeads(x: Value, heads: number): Value {
  if (x.dims.length === 4) return x;
  const [batch = 0, sequence = 0, hidden = 0] = x.dims;
  const size = hidden / heads;
  const y = makeValue(x.dtype, [batch, heads, sequence, size]);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let s = 0; s < sequence; s++) {
        const from = (b * sequence + s) * hidden + h * size;
        y.data.set(x.data.subarray(from, from + size), ((b * heads + h) * sequence + s) * size);
      }
    }
  }
  return y;
}

/** Earlier keys or values before those of this call. */
function joined(past: Value | undefined, now: Value): Value {
  if (!past) return now;
  const [batch = 0, heads = 0, sequence = 0, size = 0] = now.dims;
  const before = past.dims[2] ?? 0;
  const y = makeValue(now.dtype, [batch, heads, before + sequence, size]);
  for (let row = 0; row < batch * heads; row++) {
    const to = row * (before + sequence) * size;
    const own = now.data.subarray(row * sequence * size, (row + 1) * sequence * size);
    y.data.set(past.data.subarray(row * before * size, (row + 1) * before * size), to);
    y.data.set(own, to + before * size);
  }
  return y;
}

/** What the mask adds to a score; a mask shorter than the keys closes the rest. */
function maskReader(mask: Value | undefined, total: number) {
  if (!mask) return () => 0;
  const length = mask.dims.at(-1) ?? 1;
  const covered = length === 1 ? total : length;
  const own = stridesOf(mask.dims).map((stride, axis) => (mask.dims[axis] === 1 ? 0 : stride));
  const missing = new Array<number>(4 - own.length).fill(0);
  const [sb = 0, sh = 0, sq = 0, sk = 0] = [...missing, ...own];
  return (b: number, h: number, i: number, j: number) => {
    if (j >= covered) return -Infinity;
    const value = mask.data[b * sb + h * sh + i * sq + j * sk] as number;
    return mask.dtype === 'bool' ? (value ? 0 : -Infinity) : value;
  };
}

function softmax(scores: Float64Array): Float64Array {
  const most = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  if (most === -Infinity) return new Float64Array(scores.length);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

export function runAttention(node: Node, inputs: readonly (Value | undefined)[]): Value[] {
  const [q, k, v] = [0, 1, 2].map((index) => inputValue(node, inputs, index)) as [
    Value,
    Value,
    Value,
  ];
  const pastKey = inputs[INPUT.pastKey];
  const sizes = sizesOf(node, q.dims, k.dims, v.dims, pastKey?.dims);
  const { batch, queryHeads, heads, queries, past, size, valueSize, flat } = sizes;
  const { causal, scale = 1 / Math.sqrt(size), softcap, mode } = settingsOf(node);
  const query = byHeads(q, queryHeads);
  const key = joined(pastKey, byHeads(k, heads));
  const value = joined(inputs[INPUT.pastValue], byHeads(v, heads));
  const total = past + sizes.keys;
  const group = queryHeads / heads;
  const masked = maskReader(inputs[INPUT.mask], total);
  const y = makeValue(
    q.dtype,
    flat ? [batch, queries, queryHeads * valueSize] : [batch, queryHeads, queries, valueSize],
  );
  const shown = makeValue(q.dtype, [batch, queryHeads, queries, total]);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < queryHeads; h++) {
      const keyRow = b * heads + Math.floor(h / group);
      for (let i = 0; i < queries; i++) {
        const row = (b * queryHeads + h) * queries + i;
        const bias = Float64Array.from({ length: total }, (_, j) =>
          causal && j > i + past ? -Infinity : masked(b, h, i, j),
        );
        const products = Float64Array.from({ length: total }, (_, j) => {
          let sum = 0;
          for (let d = 0; d < size; d++) {
            const own = query.data[row * size + d] as number;
            sum += own * (key.data[(keyRow * total + j) * size + d] as number);
          }
          return scale * sum;
        });
        const capped =
          softcap > 0 ? products.map((s) => softcap * Math.tanh(s / softcap)) : products;
        const biased = capped.map((s, j) => s + (bias[j] as number));
        const closed = bias.every((each) => each === -Infinity);
        const probabilities = closed ? new Float64Array(total) : softmax(biased);
        shown.data.set([products, capped, biased, probabilities][mode] ?? products, row * total);
        const to = flat ? (b * queries + i) * queryHeads + h : row;
        for (let j = 0; j < total; j++) {
          const share = probabilities[j] as number;
          if (share === 0) continue;
          for (let d = 0; d < valueSize; d++) {
            const at = to * valueSize + d;
            const from = (keyRow * total + j) * valueSize + d;
            y.data[at] = (y.data[at] as number) + share * (value.data[from] as number);
          }
        }
      }
    }
  }
  return [y, key, value, shown];
}
