/**
 * Attention for one head after another, some queries at a time: scores and probabilities live only in
 * a thread's working memory, and keys that a causal mask closes are not computed. After Dao et al. 2022 (arXiv
 * 2205.14135), without its running softmax: a row of scores fits the cache. Equations stand in the spec of
 * AttentionTrain.
 */
import { f32, f32x4, forRange, i32, seq, v128 } from './code';
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
import type { Kernel, KernelContext } from './plan';
import { across } from './reduce';
import { addressOf } from './view';
import type { View } from './view';

const { add, sub, const: number } = f32x4;

export function attentionKernel(
  shape: AttentionShape,
  [q, k, v]: readonly [HeadView, HeadView, HeadView],
  y: HeadView,
  lse: View,
): Kernel {
  const { batch, heads, keyHeads, queries, size, valueSize, scale } = shape;
  const blocks = Math.ceil(queries / BLOCK);
  const place = workspace(shape);
  const { line } = place;
  const block = (context: KernelContext, rows: number, locals: BlockLocals): Code => {
    const { writer, scratch } = context;
    const { batch: b, head, keyHead, first, open } = locals;
    const [r, at, query, lseAt] = [0, 1, 2, 3].map(() => writer.int()) as [
      Local,
      Local,
      Local,
      Local,
    ];
    const [mask, max, sum, value] = writer.vectors(4) as [Local, Local, Local, Local];
    const scores = i32.add(scratch, i32.const(place.scores));
    const start = i32.add(scores, i32.mul(r.get, i32.const(4 * line)));
    const load = v128.load(at.get);
    const softmax = seq(
      query.set(i32.add(first.get, r.get)),
      max.set(number(-Infinity)),
      overRow(writer, shape, at, start, open, query, mask, () =>
        max.set(f32x4.max(max.get, v128.select(load, number(-Infinity), mask.get))),
      ),
      across(max, 'max'),
      sum.set(number(0)),
      overRow(writer, shape, at, start, open, query, mask, () =>
        seq(
          value.set(sub(load, max.get)),
          value.set(
            v128.and(
              writer.scoped(() => math.exp(writer, value)),
              mask.get,
            ),
          ),
          sum.set(add(sum.get, value.get)),
          v128.store(at.get, value.get),
        ),
      ),
      across(sum, 'sum'),
      value.set(
        add(
          max.get,
          writer.scoped(() => math.log(writer, sum)),
        ),
      ),
      f32.store(lseAt.get, f32x4.lane(value.get, 0), addressOf(lse)),
      f32.store(
        i32.add(scratch, i32.mul(r.get, i32.const(4))),
        f32.div(f32.const(1), f32x4.lane(sum.get, 0)),
        place.factors,
      ),
      lseAt.increase(4),
    );
    return seq(
      againstKeys(
        context,
        shape,
        rows,
        size,
        { at: headAddress(q, b.get, head.get, first.get), row: row(q) },
        { at: headAddress(k, b.get, keyHead.get, i32.const(0)), row: row(k) },
        scores,
        open,
        scale,
      ),
      lseAt.set(
        i32.mul(
          i32.add(
            i32.mul(i32.add(i32.mul(b.get, i32.const(heads)), head.get), i32.const(queries)),
            first.get,
          ),
          i32.const(4),
        ),
      ),
      forRange(r, i32.const(0), i32.const(rows), 1, softmax),
      product(
        context,
        {
          rows,
          columns: valueSize,
          depth: 'given',
          aRow: 4 * line,
          aStep: 4,
          bStep: row(v),
          cRow: row(y),
          accumulate: false,
          rowFactors: true,
        },
        {
          a: scores,
          b: headAddress(v, b.get, keyHead.get, i32.const(0)),
          c: headAddress(y, b.get, head.get, first.get),
          depth: realKeys(shape, open),
          factors: i32.add(scratch, i32.const(place.factors)),
        },
      ),
    );
  };
  return {
    name: 'AttentionTrain',
    reads: [q, k, v],
    writes: [y, lse],
    chunks: batch * heads * blocks,
    scratch: place.bytes,
    write: (context) => {
      const { writer, chunk } = context;
      const locals = blockLocals(writer);
      const { batch: b, head, keyHead, first } = locals;
      const index = i32.divU(chunk.get, i32.const(blocks));
      return seq(
        first.set(i32.mul(i32.remU(chunk.get, i32.const(blocks)), i32.const(BLOCK))),
        head.set(i32.remU(index, i32.const(heads))),
        b.set(i32.divU(index, i32.const(heads))),
        keyHead.set(i32.divU(i32.mul(head.get, i32.const(keyHeads)), i32.const(heads))),
        eachSize(shape, locals, (rows) => block(context, rows, locals)),
      );
    },
  };
}
