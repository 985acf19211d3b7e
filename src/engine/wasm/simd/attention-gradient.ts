/**
 * The gradient of attention for one head after another, some queries at a time: probabilities are computed again from
 * the logarithms of their sums (Dao et al. 2022, arXiv 2205.14135). Equations stand in the spec of AttentionGrad.
 */
import { f32x4, forRange, i32, i32x4, NOTHING, repeat, seq, v128 } from './code';
import type { Code, Local } from './code';
import {
  againstKeys,
  BLOCK,
  blockLocals,
  eachSize,
  headAddress,
  overRow,
  product,
  realKeys,
  row,
  workspace,
} from './attention-parts';
import type { AttentionShape, BlockLocals, HeadView } from './attention-parts';
import * as math from './math';
import { TILE_ROWS } from './matmul';
import type { FunctionWriter } from './module';
import type { Kernel, KernelContext } from './plan';
import { storeVector } from './pointwise';
import { across } from './reduce';
import { addressOf } from './view';
import type { View } from './view';

const { add, sub, mul, const: number } = f32x4;

export interface AttentionGradient {
  readonly dy: HeadView;
  readonly q: HeadView;
  readonly k: HeadView;
  readonly v: HeadView;
  readonly y: HeadView;
  readonly lse: View;
  readonly dq: HeadView;
  readonly dk: HeadView;
  readonly dv: HeadView;
}

/** One key head with all the query heads that share it, block by block: so sums over queries have an order. */
export function attentionGradientKernel(shape: AttentionShape, views: AttentionGradient): Kernel {
  const { batch, heads, keyHeads, queries, keys, size, valueSize, scale } = shape;
  const { dy, q, k, v, y, lse, dq, dk, dv } = views;
  const place = workspace(shape);
  const { line } = place;
  const block = (context: KernelContext, rows: number, locals: BlockLocals): Code => {
    const { writer, scratch } = context;
    const { batch: b, head, keyHead, first, open } = locals;
    const [r, at, query, lseAt, yAt, dyAt, slope, counter] = [0, 1, 2, 3, 4, 5, 6, 7].map(() =>
      writer.int(),
    ) as [Local, Local, Local, Local, Local, Local, Local, Local];
    const [mask, logSum, delta, value] = writer.vectors(4) as [Local, Local, Local, Local];
    const scores = i32.add(scratch, i32.const(place.scores));
    const slopes = i32.add(scratch, i32.const(place.slopes));
    const own = (view: HeadView) => headAddress(view, b.get, head.get, first.get);
    const shared = (view: HeadView) => headAddress(view, b.get, keyHead.get, i32.const(0));
    const vectors = Math.floor(valueSize / 4);
    const dot = (offset: number, lanes: number): Code => {
      const both = mul(v128.load(yAt.get, offset), v128.load(dyAt.get, offset));
      const lanesMask = i32x4.lanes([0, 1, 2, 3].map((lane) => (lane < lanes ? -1 : 0)));
      return delta.set(add(delta.get, lanes === 4 ? both : v128.and(both, lanesMask)));
    };
    const oneRow = seq(
      query.set(i32.add(first.get, r.get)),
      logSum.set(v128.loadSplat(lseAt.get, addressOf(lse))),
      delta.set(number(0)),
      repeat(counter, vectors, seq(dot(0, 4), yAt.increase(16), dyAt.increase(16))),
      valueSize % 4 === 0 ? NOTHING : dot(0, valueSize % 4),
      yAt.increase(row(y) - 16 * vectors),
      dyAt.increase(row(dy) - 16 * vectors),
      across(delta, 'sum'),
      slope.set(i32.add(slopes, i32.mul(r.get, i32.const(4 * line)))),
      overRow(
        writer,
        shape,
        at,
        i32.add(scores, i32.mul(r.get, i32.const(4 * line))),
        open,
        query,
        mask,
        () =>
          seq(
            // What lies behind the last key is no number, so it is masked before and after.
            value.set(v128.and(sub(v128.load(at.get), logSum.get), mask.get)),
            value.set(
              v128.and(
                writer.scoped(() => math.exp(writer, value)),
                mask.get,
              ),
            ),
            v128.store(at.get, value.get),
            v128.store(
              slope.get,
              v128.and(
                mul(mul(value.get, sub(v128.load(slope.get), delta.get)), number(scale)),
                mask.get,
              ),
            ),
            slope.increase(16),
          ),
      ),
      lseAt.increase(4),
    );
    const tiles = {
      count: i32.divU(realKeys(shape, open), i32.const(TILE_ROWS)),
      withRest: i32.geS(open.get, i32.const(keys)),
    };
    const toKeys = (table: Code, from: HeadView, to: HeadView, columns: number) =>
      product(
        context,
        {
          rows: keys,
          columns,
          depth: rows,
          aRow: 4,
          aStep: 4 * line,
          bStep: row(from),
          cRow: row(to),
          accumulate: true,
        },
        { a: table, b: own(from), c: shared(to) },
        tiles,
      );
    return seq(
      againstKeys(
        context,
        shape,
        rows,
        size,
        { at: own(q), row: row(q) },
        { at: shared(k), row: row(k) },
        scores,
        open,
        scale,
      ),
      againstKeys(
        context,
        shape,
        rows,
        valueSize,
        { at: own(dy), row: row(dy) },
        { at: shared(v), row: row(v) },
        slopes,
        open,
        1,
      ),
      yAt.set(own(y)),
      dyAt.set(own(dy)),
      lseAt.set(
        i32.mul(
          i32.add(
            i32.mul(i32.add(i32.mul(b.get, i32.const(heads)), head.get), i32.const(queries)),
            first.get,
          ),
          i32.const(4),
        ),
      ),
      forRange(r, i32.const(0), i32.const(rows), 1, oneRow),
      product(
        context,
        {
          rows,
          columns: size,
          depth: 'given',
          aRow: 4 * line,
          aStep: 4,
          bStep: row(k),
          cRow: row(dq),
          accumulate: false,
        },
        { a: slopes, b: shared(k), c: own(dq), depth: realKeys(shape, open) },
      ),
      toKeys(slopes, q, dk, size),
      toKeys(scores, dy, dv, valueSize),
    );
  };
  const clear = (
    writer: FunctionWriter,
    view: HeadView,
    { batch: b, keyHead }: BlockLocals,
    columns: number,
  ): Code => {
    const [at, counter] = [writer.int(), writer.int()];
    const zero = writer.vector();
    return seq(
      zero.set(number(0)),
      at.set(headAddress(view, b.get, keyHead.get, i32.const(0))),
      repeat(
        counter,
        keys,
        seq(
          ...Array.from({ length: Math.ceil(columns / 4) }, (_, j) =>
            storeVector(at, zero.get, 16 * j, Math.min(4, columns - 4 * j)),
          ),
          at.increase(row(view)),
        ),
      ),
    );
  };
  return {
    name: 'AttentionGrad',
    reads: [dy, q, k, v, y, lse],
    writes: [dq, dk, dv],
    chunks: batch * keyHeads,
    scratch: place.bytes,
    write: (context) => {
      const { writer, chunk } = context;
      const locals = blockLocals(writer);
      const { batch: b, head, keyHead, first } = locals;
      const shared = heads / keyHeads;
      const firstHead = i32.mul(keyHead.get, i32.const(shared));
      return seq(
        keyHead.set(i32.remU(chunk.get, i32.const(keyHeads))),
        b.set(i32.divU(chunk.get, i32.const(keyHeads))),
        clear(writer, dk, locals, size),
        clear(writer, dv, locals, valueSize),
        forRange(
          head,
          firstHead,
          i32.add(firstHead, i32.const(shared)),
          1,
          forRange(
            first,
            i32.const(0),
            i32.const(queries),
            BLOCK,
            eachSize(shape, locals, (rows) => block(context, rows, locals)),
          ),
        ),
      );
    },
  };
}
