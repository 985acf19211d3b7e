/**
 * What attention and its gradient share: small products against the keys of a head, runs over rows of scores, and where
 * a thread's working memory holds them.
 */
import { control, f32x4, forRange, I32, i32, i32x4, NOTHING, repeat, seq, v128 } from './code';
import type { Code, Local } from './code';
import { pack, PANEL, tile, TILE_ROWS } from './matmul';
import type { MultiplyAdd } from './matmul';
import { call } from './module';
import type { FunctionWriter, ModuleWriter } from './module';
import type { KernelContext } from './plan';
import { storeVector } from './pointwise';
import { addressOf } from './view';
import type { View } from './view';

const { mul, const: number } = f32x4;

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
export const BLOCK = 32;

export const row = (view: HeadView): number => 4 * (view.strides[2] ?? 0);

/** Address of a head's row. */
export function headAddress(view: HeadView, batch: Code, head: Code, first: Code): Code {
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
export function product(
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
export function workspace({ keys, size, valueSize }: AttentionShape) {
  const line = Math.ceil(keys / PANEL) * PANEL;
  const panel = 0;
  const factors = panel + 4 * PANEL * (Math.max(size, valueSize) + 1);
  const scores = factors + 4 * (BLOCK + 4);
  const slopes = scores + 4 * BLOCK * line + 64;
  return { line, panel, factors, scores, slopes, bytes: slopes + 4 * BLOCK * line + 128 };
}

/** table[rows, open keys] = factor · A · Kᵀ: eight keys at a time, packed. */
export function againstKeys(
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
export function overRow(
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

export interface BlockLocals {
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
export const realKeys = ({ keys }: AttentionShape, open: Local): Code =>
  i32.select(open.get, i32.const(keys), i32.ltS(open.get, i32.const(keys)));

export function blockLocals(writer: FunctionWriter): BlockLocals {
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
export function eachSize(
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
