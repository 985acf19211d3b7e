/**
 * Matrix products of any views, batched, as anchors of groups: one piece of work is some panels of eight columns of B,
 * packed by the thread that uses them, times some rows of A. Depth is cut so that a panel stays in the nearest cache.
 */
import { sizeOf } from '../../../core/dtype';
import { call, type ModuleWriter } from './module';
import { control, forRange, I32, i32, seq } from './code';
import type { Code } from './code';
import { PANEL, TILE_ROWS, pack, tile } from './matmul';
import type { Anchor, GroupFinish, KernelContext } from './plan';
import { addressOf, collapse } from './view';
import { storeVector } from './pointwise';
import type { View } from './view';

const DEPTH = 512;
/** Multiplications that make a piece of work worth handing out. */
const CHUNK_WORK = 2 ** 17;
/** Rows that pay for packing a panel. */
const FEWEST_ROWS = 64;

export interface Product {
  readonly name: string;
  /** [...batch, rows, depth] and [...batch, depth, columns], batch axes broadcast to the output's. */
  readonly a: View;
  readonly b: View;
  /** [...batch, rows, columns], contiguous. */
  readonly output: View;
}

interface Shape {
  readonly batch: readonly number[];
  readonly aBatch: readonly number[];
  readonly bBatch: readonly number[];
  readonly rows: number;
  readonly depth: number;
  readonly columns: number;
  /** Elements between rows and columns of A and of B. */
  readonly a: readonly [number, number];
  readonly b: readonly [number, number];
}

function shapeOf({ a, b, output }: Product): Shape {
  const rank = output.dims.length;
  const at = (list: readonly number[], axis: number) => list.at(axis) ?? 0;
  const lead = output.dims.slice(0, rank - 2);
  const strides = (view: View) => view.strides.slice(0, rank - 2);
  const batch = collapse(lead, [strides(a), strides(b)]);
  let dims = batch.dims;
  let [aBatch = [], bBatch = []] = batch.strides;
  let rows = at(output.dims, -2);
  const depth = at(a.dims, -1);
  // One B for evenly spaced As: more rows instead of a batch.
  while (
    dims.length > 0 &&
    (dims.at(-1) === 1 || (at(bBatch, -1) === 0 && at(aBatch, -1) === rows * at(a.strides, -2)))
  ) {
    rows *= dims.at(-1) ?? 1;
    dims = dims.slice(0, -1);
    aBatch = aBatch.slice(0, -1);
    bBatch = bBatch.slice(0, -1);
  }
  return {
    batch: dims,
    aBatch,
    bBatch,
    rows,
    depth,
    columns: at(output.dims, -1),
    a: [at(a.strides, -2), at(a.strides, -1)],
    b: [at(b.strides, -2), at(b.strides, -1)],
  };
}

/** A broken stride of an axis of length 1 must not count. */
const settled = (view: View): View => ({
  ...view,
  strides: view.strides.map((stride, axis) => (view.dims[axis] === 1 ? 0 : stride)),
});

export function productAnchor(product: Product): Anchor {
  const given = { ...product, a: settled(product.a), b: settled(product.b) };
  const shape = shapeOf(given);
  const { batch, rows, depth, columns } = shape;
  const panels = Math.ceil(columns / PANEL);
  const work = rows * depth * PANEL;
  const blocks = Math.max(1, Math.min(Math.ceil(rows / FEWEST_ROWS), Math.ceil(work / CHUNK_WORK)));
  const blockRows = Math.ceil(rows / blocks / TILE_ROWS) * TILE_ROWS;
  const rowBlocks = Math.ceil(rows / blockRows);
  const perChunk = Math.max(
    1,
    Math.min(panels, Math.floor(CHUNK_WORK / (blockRows * depth * PANEL))),
  );
  const groups = Math.ceil(panels / perChunk);
  const parts = depth > DEPTH ? Math.ceil(depth / DEPTH) : 1;
  const partDepth = Math.ceil(depth / parts / 4) * 4;

  const write = (context: KernelContext, finish: GroupFinish): Code => {
    const { writer, module, chunk, scratch } = context;
    const aBase = addressOf(given.a);
    const bBase = addressOf(given.b);
    const cBase = addressOf(given.output);
    const [aRow, aStep] = shape.a;
    const [bStep, bColumn] = shape.b;
    const [group, block, batchIndex] = [writer.int(), writer.int(), writer.int()];
    const [aStart, bStart, cStart] = [writer.int(), writer.int(), writer.int()];
    const [panel, panelEnd, column] = [writer.int(), writer.int(), writer.int()];
    const [a, element, aEnd] = [writer.int(), writer.int(), writer.int()];
    const offset = (strides: readonly number[]): Code => {
      let value: Code = i32.const(0);
      let divisor = 1;
      for (let axis = batch.length - 1; axis >= 0; axis--) {
        const index = i32.remU(
          i32.divU(batchIndex.get, i32.const(divisor)),
          i32.const(batch[axis] ?? 1),
        );
        value = i32.add(value, i32.mul(index, i32.const(4 * (strides[axis] ?? 0))));
        divisor *= batch[axis] ?? 1;
      }
      return value;
    };
    const times = (value: Code, factor: number) => i32.mul(value, i32.const(factor));
    const minus = (value: Code, limit: number) =>
      i32.select(value, i32.const(limit), i32.ltS(value, i32.const(limit)));
    const start = seq(
      group.set(i32.remU(chunk.get, i32.const(groups))),
      block.set(i32.remU(i32.divU(chunk.get, i32.const(groups)), i32.const(rowBlocks))),
      batchIndex.set(i32.divU(chunk.get, i32.const(groups * rowBlocks))),
      aStart.set(i32.add(offset(shape.aBatch), times(block.get, 4 * blockRows * aRow))),
      bStart.set(offset(shape.bBatch)),
      cStart.set(
        i32.add(
          times(batchIndex.get, 4 * rows * columns),
          times(block.get, 4 * blockRows * columns),
        ),
      ),
      panel.set(times(group.get, perChunk)),
      panelEnd.set(minus(i32.add(panel.get, i32.const(perChunk)), panels)),
    );
    // Rows of this block in whole tiles; what is left of the matrix belongs to the last block.
    const restRows = rows % TILE_ROWS;
    const left = i32.sub(i32.const(rows - restRows), times(block.get, blockRows));
    const tiledRows = writer.int();
    const tilesEnd = tiledRows.set(minus(left, blockRows));

    const onePanel = (width: number): Code =>
      seq(
        ...Array.from({ length: parts }, (_, part) => {
          const from = part * partDepth;
          const length = Math.min(partDepth, depth - from);
          if (length <= 0) return [];
          const packed = packer(module, width, length, 4 * bStep, 4 * bColumn);
          const last = part === Math.ceil(depth / partDepth) - 1;
          const tiles = (tileRows: number) =>
            module.function([I32, I32, I32, I32], (own, left_, right, c, col) =>
              own.scoped(() =>
                tile(
                  own,
                  {
                    rows: tileRows,
                    columns: width,
                    depth: length,
                    aRow: 4 * aRow,
                    aStep: 4 * aStep,
                    cRow: 4 * columns,
                    cBase,
                    bStep: 4 * PANEL,
                    accumulate: part > 0,
                  },
                  context.madd,
                  [left_, right, c],
                  (sum, row, j, lanes) => {
                    const place = {
                      element: c,
                      elementOffset: 4 * row * columns + 16 * j,
                      column: col,
                      columnOffset: 16 * j,
                      lanes,
                    };
                    const own_ = { ...context, writer: own };
                    return last ? finish(own_, sum, place) : plainStore(sum, place, cBase);
                  },
                ),
              ),
            );
          const body = (tileRows: number) =>
            call(tiles(tileRows), a.get, scratch, element.get, column.get);
          return seq(
            call(
              packed,
              i32.add(
                i32.add(bStart.get, times(panel.get, 4 * PANEL * bColumn)),
                i32.const(bBase + 4 * from * bStep),
              ),
              scratch,
            ),
            element.set(i32.add(cStart.get, times(panel.get, 4 * PANEL))),
            column.set(times(panel.get, 4 * PANEL)),
            a.set(i32.add(aStart.get, i32.const(aBase + 4 * from * aStep))),
            rows >= TILE_ROWS
              ? seq(
                  aEnd.set(tiledRows.get),
                  control.if(
                    i32.gtS(aEnd.get, i32.const(0)),
                    control.doWhile(
                      seq(
                        body(TILE_ROWS),
                        a.increase(4 * TILE_ROWS * aRow),
                        element.increase(4 * TILE_ROWS * columns),
                      ),
                      i32.gtS(aEnd.tee(i32.sub(aEnd.get, i32.const(TILE_ROWS))), i32.const(0)),
                    ),
                  ),
                )
              : [],
            restRows === 0
              ? []
              : control.if(i32.eq(block.get, i32.const(rowBlocks - 1)), body(restRows)),
          );
        }),
      );
    const edge = columns % PANEL;
    const inside =
      edge === 0
        ? onePanel(PANEL)
        : panels === 1
          ? onePanel(edge)
          : control.if(i32.ltS(panel.get, i32.const(panels - 1)), onePanel(PANEL), onePanel(edge));
    return seq(start, tilesEnd, forRange(panel, panel.get, panelEnd.get, 1, inside));
  };
  return {
    name: product.name,
    reads: [product.a, product.b],
    output: product.output,
    stores: parts > 1,
    hasColumns: true,
    chunks: sizeOf(batch) * rowBlocks * groups,
    scratch: Math.min(depth, partDepth) * PANEL * 4 + 64,
    write,
  };
}

function plainStore(
  sum: Code,
  { element, elementOffset, lanes }: Parameters<GroupFinish>[2],
  base: number,
): Code {
  return storeVector(element, sum, base + elementOffset, lanes);
}

function packer(
  module: ModuleWriter,
  columns: number,
  depth: number,
  bStep: number,
  bColumn: number,
): number {
  return module.function([I32, I32], (writer, from, to) =>
    pack(writer, { columns, depth, bStep, bColumn }, from, to),
  );
}
