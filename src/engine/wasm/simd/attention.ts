/**
 * Attention and its gradient for one head after another, some queries at a time: scores and probabilities live only in
 * a thread's working memory, and keys that a causal mask closes are not computed. After Dao et al. 2022 (arXiv
 * 2205.14135), without its running softmax: a row of scores fits the cache. Equations stand in the specs of
 * AttentionTrain and AttentionGrad.
 */
import { control, f32, f32x4, forRange, I32, i32, i32x4, NOTHING, repeat, seq, v128 } from './code';
import type { Code, Local } from './code';
import * as math from './math';
import { pack, PANEL, tile, TILE_ROWS } from './matmul';
import type { MultiplyAdd } from './matmul';
import { call } from './module';
import type { FunctionWriter, ModuleWriter } from './module';
import type { Kernel, KernelContext } from './plan';
import { storeVector } from './pointwise';
import { across } from './reduce';
import { addressOf } from './view';
import type { View } from './view';

const { add, sub, mul, const: number } = f32x4;

export interface AttentionShape {
  readonly batch: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly queries: number;
  readonly keys: number;
  /** Numbers of a query or key, and of a value. */
  readonly size: number;
  readonly valueSize: number;
  readonly scale: number;
  readonly causal: boolean;
}

/** [batch, heads, rows, numbers] with neighbouring numbers side by side. */
export type HeadView = View;

/** Queries at a time. */
const BLOCK = 32;

const row = (view: HeadView): number => 4 * (view.strides[2] ?? 0);

/** Address of a head's row. */
function headAddress(view: HeadView, batch: Code, head: Code, first: Code): Code {
  const [b = 0, h = 0] = view.strides;
  return i32.add(
    i32.add(i32.const(addressOf(view)), i32.mul(batch, i32.const(4 * b))),
    i32.add(i32.mul(head, i32.const(4 * h)), i32.mul(first, i32.const(row(view)))),
  );
}

interface Product {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number | 'given';
  readonly aRow: number;
  readonly aStep: number;
  readonly bStep: number;
  readonly cRow: number;
  readonly accumulate: boolean;
  readonly factor?: number;
  /** Whether row r is multiplied by the number at the fifth parameter + 4r. */
  readonly rowFactors?: boolean;
}

/** Function (a, b, c, depth, factors) for one tile. */
function tileFunction(module: ModuleWriter, madd: MultiplyAdd, product: Product): number {
  const { rows, columns, depth, factor = 1, rowFactors = false, ...strides } = product;
  return module.function([I32, I32, I32, I32, I32], (writer, a, b, c, given, factors) =>
    tile(
      writer,
      { ...strides, rows, columns, depth: depth === 'given' ? given : depth, cBase: 0 },
      madd,
      [a, b, c],
      (sum, r, j, lanes) => {
        const at = r * product.cRow + 16 * j;
        if (factor === 1 && !rowFactors) return storeVector(c, sum, at, lanes);
        const value = writer.vector();
        const by = rowFactors ? v128.loadSplat(factors.get, 4 * r) : number(factor);
        const code = seq(value.set(mul(sum, by)), storeVector(c, value.get, at, lanes));
        writer.release(value);
        return code;
      },
    ),
  );
}

interface Operands {
  readonly a: Code;
  readonly b: Code;
  readonly c: Code;
  readonly depth?: Code;
  readonly factors?: Code;
}

/** All rows and columns of a small product whose B lies in rows; `rows` may be known only in the step (tiles of four). */
function product(
  { writer, module, madd }: Pick<KernelContext, 'writer' | 'module' | 'madd'>,
  shape: Product,
  { a, b, c, depth = i32.const(0), factors = i32.const(0) }: Operands,
  tiles?: { readonly count: Code; readonly withRest: Code },
): Code {
  const { rows, columns, aRow, cRow, rowFactors = false } = shape;
  const [aAt, cAt, fAt, bAt, counter, panel, cStart] = [0, 1, 2, 3, 4, 5, 6].map(() =>
    writer.int(),
  ) as [Local, Local, Local, Local, Local, Local, Local];
  const full = Math.floor(rows / TILE_ROWS);
  const rest = rows % TILE_ROWS;
  const strip = (width: number): Code => {
    const run = (count: number) =>
      call(
        tileFunction(module, madd, { ...shape, rows: count, columns: width }),
        aAt.get,
        bAt.get,
        cAt.get,
        depth,
        fAt.get,
      );
    const whole = seq(
      run(TILE_ROWS),
      aAt.increase(TILE_ROWS * aRow),
      cAt.increase(TILE_ROWS * cRow),
      rowFactors ? fAt.increase(4 * TILE_ROWS) : NOTHING,
    );
    return seq(
      aAt.set(a),
      cAt.set(cStart.get),
      fAt.set(factors),
      tiles ? forRange(counter, i32.const(0), tiles.count, 1, whole) : repeat(counter, full, whole),
      rest === 0 ? NOTHING : tiles ? control.if(tiles.withRest, run(rest)) : run(rest),
    );
  };
  const panels = Math.floor(columns / PANEL);
  const edge = columns % PANEL;
  const code = seq(
    bAt.set(b),
    cStart.set(c),
    panels === 0
      ? NOTHING
      : repeat(
          panel,
          panels,
          seq(strip(PANEL), bAt.increase(4 * PANEL), cStart.increase(4 * PANEL)),
        ),
    edge === 0 ? NOTHING : strip(edge),
  );
  writer.release(aAt, cAt, fAt, bAt, counter, panel, cStart);
  return code;
}

/** Where the parts of a thread's working memory lie. */
function workspace({ keys, size, valueSize }: AttentionShape) {
  const line = Math.ceil(keys / PANEL) * PANEL;
  const panel = 0;
  const factors = panel + 4 * PANEL * (Math.max(size, valueSize) + 1);
  const scores = factors + 4 * (BLOCK + 4);
  const slopes = scores + 4 * BLOCK * line + 64;
  return { line, panel, factors, scores, slopes, bytes: slopes + 4 * BLOCK * line + 128 };
}

/** table[rows, open keys] = factor · A · Kᵀ: eight keys at a time, packed. */
function againstKeys(
  context: KernelContext,
  shape: AttentionShape,
  rows: number,
  depth: number,
  a: { readonly at: Code; readonly row: number },
  keys: { readonly at: Code; readonly row: number },
  table: Code,
  open: Local,
  factor: number,
): Code {
  const { writer, module, madd, scratch } = context;
  const { line } = workspace(shape);
  const [from, to, at] = [writer.int(), writer.int(), writer.int()];
  const packed = (columns: number) =>
    module.function([I32, I32], (own, source, target) =>
      pack(own, { columns, depth, bStep: 4, bColumn: keys.row }, source, target),
    );
  const edge = shape.keys % PANEL;
  const whole = call(packed(PANEL), from.get, scratch);
  const part = edge === 0 ? NOTHING : call(packed(edge), from.get, scratch);
  const last = i32.gtS(at.get, i32.const(shape.keys - PANEL));
  const inner = product(
    { writer, module, madd },
    {
      rows,
      columns: PANEL,
      depth,
      aRow: a.row,
      aStep: 4,
      bStep: 4 * PANEL,
      cRow: 4 * line,
      accumulate: false,
      factor,
    },
    { a: a.at, b: scratch, c: to.get },
  );
  const code = seq(
    from.set(keys.at),
    to.set(table),
    forRange(
      at,
      i32.const(0),
      open.get,
      PANEL,
      seq(
        edge === 0 ? whole : shape.keys < PANEL ? part : control.if(last, part, whole),
        inner,
        from.increase(PANEL * keys.row),
        to.increase(4 * PANEL),
      ),
    ),
  );
  writer.release(from, to, at);
  return code;
}

/** Runs over one row of a table up to the open keys; `mask` is ones where the key is seen by query `query`. */
function overRow(
  writer: FunctionWriter,
  shape: AttentionShape,
  at: Local,
  start: Code,
  open: Local,
  query: Local,
  mask: Local,
  /** Written here, so that it leaves this loop's own locals alone. */
  body: () => Code,
): Code {
  const [key, index, limit] = [writer.int(), writer.vector(), writer.vector()];
  const seen = shape.causal
    ? i32.select(
        i32.add(query.get, i32.const(1)),
        i32.const(shape.keys),
        i32.ltS(query.get, i32.const(shape.keys - 1)),
      )
    : i32.const(shape.keys);
  const code = seq(
    at.set(start),
    index.set(i32x4.lanes([0, 1, 2, 3])),
    limit.set(i32x4.splat(seen)),
    forRange(
      key,
      i32.const(0),
      open.get,
      4,
      seq(
        mask.set(i32x4.lt(index.get, limit.get)),
        body(),
        index.set(i32x4.add(index.get, i32x4.const(4))),
        at.increase(16),
      ),
    ),
  );
  writer.release(key, index, limit);
  return code;
}

interface BlockLocals {
  readonly batch: Local;
  readonly head: Local;
  readonly keyHead: Local;
  readonly first: Local;
  readonly open: Local;
}

/** Keys that some query of the block sees, in whole panels. */
function openKeys({ causal, keys }: AttentionShape, first: Code, rows: number): Code {
  const all = Math.ceil(keys / PANEL) * PANEL;
  if (!causal) return i32.const(all);
  const seen = i32.and(i32.add(first, i32.const(rows + PANEL - 1)), i32.const(-PANEL));
  return i32.select(seen, i32.const(all), i32.ltS(seen, i32.const(all)));
}

/** The keys among them that exist. */
const realKeys = ({ keys }: AttentionShape, open: Local): Code =>
  i32.select(open.get, i32.const(keys), i32.ltS(open.get, i32.const(keys)));

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

function blockLocals(writer: FunctionWriter): BlockLocals {
  const [batch, head, keyHead, first, open] = [0, 1, 2, 3, 4].map(() => writer.int()) as [
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  return { batch, head, keyHead, first, open };
}

/** The last block may have fewer queries than the others. */
function eachSize(
  shape: AttentionShape,
  { first, open }: BlockLocals,
  body: (rows: number) => Code,
): Code {
  const own = (rows: number) => seq(open.set(openKeys(shape, first.get, rows)), body(rows));
  const rest = shape.queries % BLOCK;
  if (rest === 0) return own(BLOCK);
  if (shape.queries < BLOCK) return own(rest);
  return control.if(i32.ltS(first.get, i32.const(shape.queries - rest)), own(BLOCK), own(rest));
}

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
