/**
 * Attention in simpler operators. Query heads that share a key head are laid behind one another, so K and V are
 * never repeated. Which keys are open is kept apart from what a mask adds: no arithmetic is done with infinity, which
 * graphics processors may not keep.
 */
import { DTYPE_CODE } from '../../core/dtype';
import type { DType } from '../../core/dtype';
import { attr } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import { intAttribute } from '../attributes';
import type { ExpansionContext } from '../define';
import { reshapeTo, scalarOf, transpose } from '../gradients';
import { INPUT, settingsOf, sizesOf } from './settings';
import type { AttentionSizes } from './settings';

/** The lowest finite number of a type. */
function lowest(dtype: DType): number {
  return dtype === 'float16' ? -65504 : -3.3e38;
}

interface Openness {
  /** bool, broadcasts to [batch, heads, queries, total]; absent where all keys are open. */
  readonly open: string | undefined;
  /** A query may have no open key at all. */
  readonly mayClose: boolean;
}

function count(builder: GraphBuilder, length: number, column: boolean, from = 0): string {
  return builder.constant(
    'float32',
    column ? [length, 1] : [1, length],
    Array.from({ length }, (_, index) => from + index),
  );
}

function opennessOf(context: ExpansionContext, sizes: AttentionSizes, causal: boolean): Openness {
  const { node, builder, type } = context;
  const { queries, past } = sizes;
  const total = past + sizes.keys;
  const mask = node.inputs[INPUT.mask] ?? '';
  const parts: string[] = [];
  if (causal) {
    const last = count(builder, queries, true, past);
    parts.push(builder.node('LessOrEqual', [count(builder, total, false), last]));
  }
  if (mask !== '') {
    const { dtype, dims } = type(mask);
    const length = dims.at(-1) ?? 1;
    const own =
      dtype === 'bool'
        ? padded(builder, mask, dims, total)
        : builder.node('GreaterOrEqual', [mask, scalarOf(builder, dtype, lowest(dtype))]);
    parts.push(dtype === 'bool' ? own : padded(builder, own, dims, total));
    if (length !== 1 && length < total) {
      parts.push(builder.node('Less', [count(builder, total, false), builder.scalar(length)]));
    }
  }
  const [first, ...rest] = parts;
  return {
    open: first && rest.reduce((all, part) => builder.node('And', [all, part]), first),
    mayClose: mask !== '',
  };
}

/** A mask that is shorter than the keys, made as long: what is added is closed elsewhere. */
function padded(
  builder: GraphBuilder,
  mask: string,
  dims: readonly number[],
  total: number,
): string {
  const length = dims.at(-1) ?? 1;
  if (length === 1 || length >= total) return mask;
  const pads = [
    ...dims.map(() => 0),
    ...dims.map((_, axis) => (axis === dims.length - 1 ? total - length : 0)),
  ];
  return builder.node('Pad', [mask, builder.ints(pads)]);
}

export function expandAttention(context: ExpansionContext): readonly string[] {
  const { node, builder, type } = context;
  const [q = '', k = '', v = '', mask = '', pastKey = '', pastValue = ''] = node.inputs;
  const { dtype } = type(q);
  const sizes = sizesOf(
    node,
    type(q).dims,
    type(k).dims,
    type(v).dims,
    pastKey === '' ? undefined : type(pastKey).dims,
  );
  const { flat, batch, queryHeads, heads, queries, keys, size, valueSize } = sizes;
  const total = sizes.past + keys;
  const { causal, scale = 1 / Math.sqrt(size), softcap, mode } = settingsOf(node);
  const scalar = (value: number) => scalarOf(builder, dtype, value);
  const byHeads = (name: string, own: number, sequence: number, each: number) =>
    flat
      ? transpose(builder, reshapeTo(builder, name, [batch, sequence, own, each]), [0, 2, 1, 3])
      : name;
  const joined = (past: string, now: string) =>
    past === '' ? now : builder.node('Concat', [past, now], { axis: attr.int(2) });
  const key = joined(pastKey, byHeads(k, heads, keys, size));
  const value = joined(pastValue, byHeads(v, heads, keys, valueSize));

  const shared = queryHeads !== heads;
  const rows = (queryHeads / heads) * queries;
  const grouped = (name: string, width: number) =>
    shared ? reshapeTo(builder, name, [batch, heads, rows, width]) : name;
  const apart = (name: string, width: number) =>
    shared ? reshapeTo(builder, name, [batch, queryHeads, queries, width]) : name;
  const scaled = builder.node('Mul', [byHeads(q, queryHeads, queries, size), scalar(scale)]);
  const products = apart(
    builder.node('MatMul', [grouped(scaled, size), transpose(builder, key, [0, 1, 3, 2])]),
    total,
  );
  let capped = products;
  if (softcap > 0) {
    const bent = builder.node('Tanh', [builder.node('Div', [products, scalar(softcap)])]);
    capped = builder.node('Mul', [bent, scalar(softcap)]);
  }

  const { open, mayClose } = opennessOf(context, sizes, causal);
  const additive = mask !== '' && type(mask).dtype !== 'bool';
  const biased = additive
    ? builder.node('Add', [capped, padded(builder, mask, type(mask).dims, total)])
    : capped;
  const closedTo = (name: string, fill: number) =>
    open === undefined ? name : builder.node('Where', [open, name, scalar(fill)]);
  const precise = softmaxPrecision(context, dtype);
  const cast = (name: string, to: DType) =>
    precise === dtype ? name : builder.node('Cast', [name], { to: attr.int(DTYPE_CODE[to]) });
  let probabilities = cast(
    builder.node('Softmax', [cast(closedTo(biased, lowest(dtype)), precise)], {
      axis: attr.int(-1),
    }),
    dtype,
  );
  if (open !== undefined && mayClose) {
    const any = builder.node('ReduceMax', [
      builder.node('Cast', [open], { to: attr.int(1) }),
      builder.ints([-1]),
    ]);
    const live = builder.node('Greater', [any, builder.scalar(0)]);
    probabilities = builder.node('Where', [live, probabilities, scalar(0)]);
  }
  const mixed = apart(builder.node('MatMul', [grouped(probabilities, total), value]), valueSize);
  const y = flat
    ? reshapeTo(builder, transpose(builder, mixed, [0, 2, 1, 3]), [
        batch,
        queries,
        queryHeads * valueSize,
      ])
    : mixed;
  if ((node.outputs[3] ?? '') === '') return [y, key, value];
  const shown = [
    () => products,
    () => capped,
    () => closedTo(biased, -Infinity),
    () => probabilities,
  ][mode];
  return [y, key, value, (shown ?? (() => products))()];
}

function softmaxPrecision({ node }: ExpansionContext, dtype: DType): DType {
  const code = intAttribute(node, 'softmax_precision', 0);
  const found = Object.entries(DTYPE_CODE).find(([, each]) => each === code);
  return found ? (found[0] as DType) : dtype;
}
