/**
 * Convolution and its two gradients as products with columns (columns.ts), a few rows of positions at a time, so that
 * columns are still near when they are read. The gradient of the input is the product of the transposed weight with
 * columns that look the other way; that of the weight multiplies dY with the columns of X, a panel of eight taps by
 * image and block, always in the same order.
 */
import { callColumns, columnsFunction, planes } from './columns';
import type { Sight } from './columns';
import { control, forRange, I32, i32, repeat, seq, v128 } from './code';
import type { Code, Local } from './code';
import { PANEL, TILE_ROWS, pack, tile } from './matmul';
import { call } from './module';
import type { Anchor, GroupFinish, Kernel, KernelContext } from './plan';
import { storeVector } from './pointwise';
import { addressOf } from './view';
import type { View } from './view';

/** Numbers in a block of columns: a part of the second cache. */
const BLOCK_ELEMENTS = 2 ** 15;

export interface ConvolutionShape {
  readonly batch: number;
  readonly group: number;
  /** Channels of the seen picture and of the result, a group. */
  readonly channels: number;
  readonly filters: number;
  readonly sight: Sight;
}

/** Rows of positions in a block: all blocks are alike. */
function blockRows(rows: number, rowElements: number): number {
  let best = 1;
  for (let count = 1; count <= rows; count++) {
    if (rows % count === 0 && count * rowElements <= BLOCK_ELEMENTS) best = count;
  }
  return best;
}

const taps = ({ height, width }: Sight): number => height.kernel * width.kernel;

/** result[n, f, position] = Σ over (c, tap) of weight[f, (c, tap)] · columns, plus bias[f]. */
export function convolutionAnchor(
  name: string,
  shape: ConvolutionShape,
  seen: View,
  /** [group · filters, channels · taps], contiguous */
  weight: View,
  bias: View | undefined,
  output: View,
): Anchor {
  const { batch, group, channels, filters, sight } = shape;
  const { rows, columns, seenRows, seenColumns } = planes(sight);
  const depth = channels * taps(sight);
  const lines = blockRows(rows, depth * columns);
  const blocks = rows / lines;
  const block = lines * columns;
  // One line of columns for each step of the depth; a vector more, because copies run over.
  const line = Math.ceil(block / PANEL) * PANEL + PANEL;
  const panels = Math.ceil(block / PANEL);
  const plane = 4 * seenRows * seenColumns;
  const resultPlane = 4 * rows * columns;

  const write = (context: KernelContext, finish: GroupFinish): Code => {
    const { writer, module, chunk, scratch } = context;
    const fill = columnsFunction(module, sight);
    const [image, firstRow, channel, ky, kx] = [0, 1, 2, 3, 4].map(() => writer.int()) as [
      Local,
      Local,
      Local,
      Local,
      Local,
    ];
    const [to, from, a, b, element, filter, panel] = [0, 1, 2, 3, 4, 5, 6].map(() =>
      writer.int(),
    ) as [Local, Local, Local, Local, Local, Local, Local];
    const which = writer.int();
    const { height, width } = sight;
    const tileFunction = (tileRows: number, width_: number) =>
      module.function([I32, I32, I32, I32], (own, left, right, place, row) => {
        return tile(
          own,
          {
            rows: tileRows,
            columns: width_,
            depth,
            aRow: 4 * depth,
            aStep: 4,
            bStep: 4 * line,
            cRow: resultPlane,
            cBase: 0,
            accumulate: false,
            start: bias && ((r) => v128.loadSplat(row.get, addressOf(bias) + 4 * r)),
          },
          context.madd,
          [left, right, place],
          (sum, r, j, lanes) =>
            finish({ ...context, writer: own }, sum, {
              element: place,
              elementOffset: r * resultPlane + 16 * j,
              column: place,
              columnOffset: 0,
              lanes,
            }),
        );
      });
    const full = filters - (filters % TILE_ROWS);
    const tiles = (width_: number): Code => {
      const whole = full > 0 ? tileFunction(TILE_ROWS, width_) : -1;
      const rest = filters > full ? tileFunction(filters - full, width_) : -1;
      const forward = (count: number) =>
        seq(
          a.increase(4 * depth * count),
          element.increase(resultPlane * count),
          filter.increase(4 * count),
        );
      const one = (index: number) => call(index, a.get, b.get, element.get, filter.get);
      const counter = writer.int();
      return seq(
        repeat(counter, full / TILE_ROWS, seq(one(whole), forward(TILE_ROWS))),
        rest >= 0 ? one(rest) : [],
      );
    };
    const edge = block % PANEL;
    const groupOf = i32.remU(image.get, i32.const(group));
    const fillAll = seq(
      to.set(scratch),
      from.set(
        i32.add(i32.mul(image.get, i32.const(channels * plane)), i32.const(addressOf(seen))),
      ),
      repeat(
        channel,
        channels,
        seq(
          forRange(
            ky,
            i32.const(0),
            i32.const(height.kernel),
            1,
            forRange(
              kx,
              i32.const(0),
              i32.const(width.kernel),
              1,
              seq(
                callColumns(
                  fill,
                  sight,
                  from.get,
                  to.get,
                  { ky, kx },
                  firstRow.get,
                  i32.const(lines),
                ),
                to.increase(4 * line),
              ),
            ),
          ),
          from.increase(plane),
        ),
      ),
    );
    const start = seq(
      filter.set(i32.mul(groupOf, i32.const(4 * filters))),
      a.set(
        i32.add(i32.mul(groupOf, i32.const(4 * filters * depth)), i32.const(addressOf(weight))),
      ),
      b.set(i32.add(scratch, i32.mul(panel.get, i32.const(4 * PANEL)))),
      element.set(
        i32.add(
          i32.mul(image.get, i32.const(filters * resultPlane)),
          i32.add(
            i32.mul(firstRow.get, i32.const(4 * columns)),
            i32.mul(panel.get, i32.const(4 * PANEL)),
          ),
        ),
      ),
    );
    const body =
      edge === 0
        ? tiles(PANEL)
        : panels === 1
          ? tiles(edge)
          : control.if(i32.ltS(panel.get, i32.const(panels - 1)), tiles(PANEL), tiles(edge));
    return seq(
      which.set(i32.remU(chunk.get, i32.const(blocks))),
      firstRow.set(i32.mul(which.get, i32.const(lines))),
      image.set(i32.divU(chunk.get, i32.const(blocks))),
      fillAll,
      forRange(panel, i32.const(0), i32.const(panels), 1, seq(start, body)),
    );
  };
  return {
    name,
    reads: [seen, weight, ...(bias ? [bias] : [])],
    output,
    stores: false,
    hasColumns: false,
    chunks: batch * group * blocks,
    scratch: 4 * (depth * line + 2 * PANEL),
    write,
  };
}

/**
 * partial[s, f, (c, tap)] = Σ over the images of part s and over positions of dY[n, f, p] · columns of X. `parts` is how
 * many sums there are for each weight; their own sum is another kernel's.
 */
export function weightGradientKernel(
  shape: ConvolutionShape,
  dy: View,
  x: View,
  partial: View,
  parts: number,
): Kernel {
  const { batch, group, channels, filters, sight } = shape;
  const { rows, columns, seenRows, seenColumns } = planes(sight);
  const tapCount = taps(sight);
  const depth = channels * tapCount;
  const lines = blockRows(rows, 64 * columns);
  const blocks = rows / lines;
  const block = lines * columns;
  const line = Math.ceil(block / 4) * 4 + PANEL;
  const panels = Math.ceil(depth / PANEL);
  const images = Math.ceil(batch / parts);
  const plane = 4 * seenRows * seenColumns;
  const dyPlane = 4 * rows * columns;
  const packedAt = 4 * PANEL * line;

  const write = (context: KernelContext): Code => {
    const { writer, module, chunk, scratch, madd } = context;
    const fill = columnsFunction(module, sight);
    const [panel, groupIndex, part, image, end] = [0, 1, 2, 3, 4].map(() => writer.int()) as [
      Local,
      Local,
      Local,
      Local,
      Local,
    ];
    const [blockIndex, k, ky, kx, tap, channel] = [0, 1, 2, 3, 4, 5].map(() => writer.int()) as [
      Local,
      Local,
      Local,
      Local,
      Local,
      Local,
    ];
    const [a, c, to, firstRow, imageBase] = [0, 1, 2, 3, 4].map(() => writer.int()) as [
      Local,
      Local,
      Local,
      Local,
      Local,
    ];
    const packed = i32.add(scratch, i32.const(packedAt));
    const tileFunction = (tileRows: number, width: number) =>
      module.function([I32, I32, I32], (own, left, right, place) => {
        return tile(
          own,
          {
            rows: tileRows,
            columns: width,
            depth: block,
            aRow: dyPlane,
            aStep: 4,
            bStep: 4 * PANEL,
            cRow: 4 * depth,
            cBase: 0,
            accumulate: true,
          },
          madd,
          [left, right, place],
          (sum, r, j, lanes) => storeVector(place, sum, r * 4 * depth + 16 * j, lanes),
        );
      });
    const packFunction = (width: number) =>
      module.function([I32, I32], (own, from, target) =>
        pack(own, { columns: width, depth: block, bStep: 4, bColumn: 4 * line }, from, target),
      );
    const full = filters - (filters % TILE_ROWS);
    const width = (count: number): Code => {
      const packIndex = packFunction(count);
      const whole = full > 0 ? tileFunction(TILE_ROWS, count) : -1;
      const rest = filters > full ? tileFunction(filters - full, count) : -1;
      const counter = writer.int();
      const fillOne = (j: number): Code =>
        seq(
          k.set(i32.add(i32.mul(panel.get, i32.const(PANEL)), i32.const(j))),
          tap.set(i32.remU(k.get, i32.const(tapCount))),
          channel.set(i32.divU(k.get, i32.const(tapCount))),
          ky.set(i32.divU(tap.get, i32.const(sight.width.kernel))),
          kx.set(i32.remU(tap.get, i32.const(sight.width.kernel))),
          callColumns(
            fill,
            sight,
            i32.add(
              i32.mul(
                i32.add(i32.mul(imageBase.get, i32.const(channels)), channel.get),
                i32.const(plane),
              ),
              i32.const(addressOf(x)),
            ),
            i32.add(scratch, i32.const(4 * j * line)),
            { ky, kx },
            firstRow.get,
            i32.const(lines),
          ),
        );
      const one = (index: number) => call(index, a.get, packed, c.get);
      return seq(
        ...Array.from({ length: count }, (_, j) => fillOne(j)),
        call(packIndex, scratch, packed),
        repeat(
          counter,
          full / TILE_ROWS,
          seq(one(whole), a.increase(TILE_ROWS * dyPlane), c.increase(4 * TILE_ROWS * depth)),
        ),
        rest >= 0 ? one(rest) : [],
      );
    };
    const edge = depth % PANEL;
    const body =
      edge === 0
        ? width(PANEL)
        : panels === 1
          ? width(edge)
          : control.if(i32.ltS(panel.get, i32.const(panels - 1)), width(PANEL), width(edge));
    // This piece's rows of the sums begin at 0.
    const firstSum = i32.add(
      i32.const(addressOf(partial)),
      i32.add(
        i32.mul(
          i32.add(i32.mul(part.get, i32.const(group)), groupIndex.get),
          i32.const(4 * filters * depth),
        ),
        i32.mul(panel.get, i32.const(4 * PANEL)),
      ),
    );
    const counter = writer.int();
    const zero = writer.vector();
    const clear = (count: number) =>
      repeat(
        counter,
        filters,
        seq(
          ...Array.from({ length: Math.ceil(count / 4) }, (_, j) =>
            storeVector(c, zero.get, 16 * j, Math.min(4, count - 4 * j)),
          ),
          c.increase(4 * depth),
        ),
      );
    const clearing =
      edge === 0
        ? clear(PANEL)
        : control.if(i32.ltS(panel.get, i32.const(panels - 1)), clear(PANEL), clear(edge));
    const last = i32.mul(i32.add(part.get, i32.const(1)), i32.const(images));
    return seq(
      panel.set(i32.remU(chunk.get, i32.const(panels))),
      groupIndex.set(i32.remU(i32.divU(chunk.get, i32.const(panels)), i32.const(group))),
      part.set(i32.divU(chunk.get, i32.const(panels * group))),
      c.set(firstSum),
      clearing,
      end.set(i32.select(last, i32.const(batch), i32.ltS(last, i32.const(batch)))),
      forRange(
        image,
        i32.mul(part.get, i32.const(images)),
        end.get,
        1,
        forRange(
          blockIndex,
          i32.const(0),
          i32.const(blocks),
          1,
          seq(
            imageBase.set(i32.add(i32.mul(image.get, i32.const(group)), groupIndex.get)),
            firstRow.set(i32.mul(blockIndex.get, i32.const(lines))),
            a.set(
              i32.add(
                i32.const(addressOf(dy)),
                i32.add(
                  i32.mul(imageBase.get, i32.const(filters * dyPlane)),
                  i32.mul(firstRow.get, i32.const(4 * columns)),
                ),
              ),
            ),
            c.set(firstSum),
            to.set(scratch),
            body,
          ),
        ),
      ),
    );
  };
  return {
    name: 'ConvGradWeight',
    reads: [dy, x],
    writes: [partial],
    chunks: panels * group * parts,
    scratch: packedAt + 4 * PANEL * (line + PANEL),
    write,
  };
}

/** Sums for each weight, so that there are pieces enough for all threads whatever the number of taps. */
export function weightGradientParts({ batch, group, channels, sight }: ConvolutionShape): number {
  const panels = Math.ceil((channels * taps(sight)) / PANEL) * group;
  return Math.max(1, Math.min(batch, Math.ceil(16 / panels)));
}
