/**
 * What AttentionTrain and AttentionGrad share: where the numbers of a query, a key and a value lie in either layout,
 * and the scores, as numbers and as nodes.
 */
import type { Node } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import { reshapeTo, transpose } from '../gradients';
import { settingsOf, sizesOf } from './settings';
import type { AttentionSizes } from './settings';

/** Closed keys get it: its exponential is 0, and no arithmetic is done with infinity. */
const CLOSED = -3.3e38;

/** One query of one head. */
export interface Query {
  /** Its place in lse. */
  readonly row: number;
  /** First element of Qᵢ (and of dQᵢ), and of Yᵢ (and of dYᵢ). */
  readonly query: number;
  readonly output: number;
  /** First element of Kⱼ and of Vⱼ. */
  key(j: number): number;
  value(j: number): number;
  /** scale · Qᵢ·Kⱼ of the keys that are open: all, or the first i + 1. */
  scores(q: Float64Array, k: Float64Array): Float64Array;
}

export interface AttentionHeads extends AttentionSizes {
  readonly scale: number;
  readonly outputDims: readonly number[];
  forEachQuery(visit: (query: Query) => void): void;
  nodes(builder: GraphBuilder): AttentionNodes;
}

/** Query heads that share a key head lie behind one another: [batch, key heads, shared · queries, …]. */
export interface AttentionNodes {
  /** A value laid out as Q or Y. */
  grouped(name: string, width: number): string;
  /** A value laid out as K or V, by heads. */
  keyed(name: string, width: number): string;
  /** Back to the layout of Q and Y, and of K and V. */
  fromQueries(name: string, width: number): string;
  fromKeys(name: string, width: number): string;
  scores(q: string, k: string): string;
}

export function attentionHeads(
  node: Node,
  q: readonly number[],
  k: readonly number[],
  v: readonly number[],
): AttentionHeads {
  const sizes = sizesOf(node, q, k, v, undefined);
  const { causal, scale = 1 / Math.sqrt(sizes.size) } = settingsOf(node);
  const { flat, batch, queryHeads, queries, valueSize } = sizes;
  return {
    ...sizes,
    scale,
    outputDims: flat
      ? [batch, queries, queryHeads * valueSize]
      : [batch, queryHeads, queries, valueSize],
    forEachQuery: (visit) => {
      for (let b = 0; b < batch; b++) {
        for (let h = 0; h < queryHeads; h++) {
          for (let i = 0; i < queries; i++) visit(queryAt(sizes, causal, scale, b, h, i));
        }
      }
    },
    nodes: (builder) => nodesOf(builder, sizes, causal, scale),
  };
}

function queryAt(
  sizes: AttentionSizes,
  causal: boolean,
  scale: number,
  b: number,
  h: number,
  i: number,
): Query {
  const { flat, queryHeads, heads, queries, keys, size, valueSize } = sizes;
  const keyHead = Math.floor(h / (queryHeads / heads));
  /** Position `s` of head `own` in [batch, length, count · width] or [batch, count, length, width]. */
  const place = (own: number, count: number, s: number, length: number) =>
    flat ? (b * length + s) * count + own : (b * count + own) * length + s;
  const query = place(h, queryHeads, i, queries);
  const key = (j: number) => place(keyHead, heads, j, keys) * size;
  return {
    row: (b * queryHeads + h) * queries + i,
    query: query * size,
    output: query * valueSize,
    key,
    value: (j) => place(keyHead, heads, j, keys) * valueSize,
    scores: (q, k) =>
      Float64Array.from({ length: causal ? Math.min(keys, i + 1) : keys }, (_, j) => {
        let sum = 0;
        for (let d = 0; d < size; d++) {
          sum += (q[query * size + d] as number) * (k[key(j) + d] as number);
        }
        return scale * sum;
      }),
  };
}

function nodesOf(
  builder: GraphBuilder,
  { flat, batch, queryHeads, heads, queries, keys, size }: AttentionSizes,
  causal: boolean,
  scale: number,
): AttentionNodes {
  const rows = (queryHeads / heads) * queries;
  const shared = queryHeads !== heads;
  const byHeads = (name: string, own: number, length: number, width: number) =>
    flat
      ? transpose(builder, reshapeTo(builder, name, [batch, length, own, width]), [0, 2, 1, 3])
      : name;
  const back = (name: string, own: number, length: number, width: number) =>
    flat
      ? reshapeTo(builder, transpose(builder, name, [0, 2, 1, 3]), [batch, length, own * width])
      : name;
  const grouped = (name: string, width: number) => {
    const own = byHeads(name, queryHeads, queries, width);
    return shared ? reshapeTo(builder, own, [batch, heads, rows, width]) : own;
  };
  const keyed = (name: string, width: number) => byHeads(name, heads, keys, width);
  return {
    grouped,
    keyed,
    fromQueries: (name, width) => {
      const own = shared ? reshapeTo(builder, name, [batch, queryHeads, queries, width]) : name;
      return back(own, queryHeads, queries, width);
    },
    fromKeys: (name, width) => back(name, heads, keys, width),
    scores: (q, k) => {
      const scaled = builder.node('Mul', [grouped(q, size), builder.scalar(scale)]);
      const turned = transpose(builder, keyed(k, size), [0, 1, 3, 2]);
      const all = builder.node('MatMul', [scaled, turned]);
      if (!causal) return all;
      // Row r of a key head is query r mod T of one of the heads that share it.
      const last = Array.from({ length: rows }, (_, row) => row % queries);
      const open = builder.node('LessOrEqual', [
        builder.constant(
          'float32',
          [1, keys],
          Array.from({ length: keys }, (_, j) => j),
        ),
        builder.constant('float32', [rows, 1], last),
      ]);
      return builder.node('Where', [open, all, builder.scalar(CLOSED)]);
    },
  };
}
